//! From the augmentation that a training names to what the runtime does.

use snn_compiler::hir::{self, Model, TrainSettings};
use snn_runtime::data::augment::{Augment, Change};

/// The changes of samples of a training of this model, if it asks for some.
pub fn of(model: &Model, settings: &TrainSettings) -> Option<Augment> {
    let change = |change: &hir::Augment| match *change {
        hir::Augment::Crop(padding) => Change::Crop { padding },
        hir::Augment::Roll(most) => Change::Roll { most },
        hir::Augment::Flip => Change::Flip,
        hir::Augment::Cutout(size) => Change::Cutout { size },
    };
    let changes: Vec<Change> = settings.augment.iter().map(change).collect();
    (!changes.is_empty()).then(|| Augment { size: model.image_size().expect("checked"), changes })
}
