//! `augment crop(padding = 1), flip, cutout(2)` of a training: which changes there are, and whether they fit the images of the model.

use super::super::context::Cx;
use super::{settings, train};
use crate::ast;
use crate::diag::{Code, suggest};
use crate::hir::{Augment, ModelId};

/// A change, the name of its size (none: it has none), and what makes it.
type Kind = (&'static str, Option<&'static str>, fn(usize) -> Augment);

const KINDS: [Kind; 4] = [
    ("crop", Some("padding"), Augment::Crop),
    ("roll", Some("most"), Augment::Roll),
    ("flip", None, |_| Augment::Flip),
    ("cutout", Some("size"), Augment::Cutout),
];

/// The changes of a setting; none after a message.
pub(super) fn changes<'a>(
    cx: &mut Cx<'a>,
    setting: &'a ast::Setting,
    model: ModelId,
) -> Option<Vec<Augment>> {
    if setting.values.is_empty() {
        cx.report(Code::E0303, setting.span, "`augment` has no value")
            .at("a value is missing here")
            .help("write what may happen to images: `augment crop(padding = 1), flip`");
        return None;
    }
    let size = image_size(cx, setting, model)?;
    setting.values.iter().map(|e| change(cx, e, size)).collect()
}

/// Height and width of the images that the model reads.
fn image_size(cx: &mut Cx, setting: &ast::Setting, model: ModelId) -> Option<[usize; 2]> {
    let model = &cx.program.models[model.idx()];
    let size = model.image_size();
    if size.is_none() {
        let input = model.inputs.first().map(|input| (input.name.clone(), input.shape.clone(), input.span));
        let what = match &input {
            Some((_, shape, _)) => format!("`augment` of {shape:?} values"),
            None => "`augment` of a model that reads no data".to_string(),
        };
        let message = cx.report(Code::E0808, setting.word.span, what);
        message.at("images are wanted");
        if let Some((name, _, span)) = input {
            message.label(span, format!("`{name}` has no axes"));
        }
        message
            .note("images are `[channels, height, width]`, in one dimension `[channels, length]`")
            .help("give the axes where the input is declared: `input x: [1, 8, 8]`");
    }
    size
}

fn change<'a>(cx: &mut Cx<'a>, e: &'a ast::Expr, image: [usize; 2]) -> Option<Augment> {
    let (name, args) = train::call(e).unwrap_or(("", &[]));
    let Some((name, param, make)) = KINDS.iter().find(|(known, ..)| *known == name) else {
        let near = suggest::closest(name, KINDS.iter().map(|kind| kind.0));
        cx.report(Code::E0808, e.span, format!("there is no augmentation `{}`", cx.text(e.span)))
            .at("unknown")
            .note("there are `crop(padding = 1)`, `roll(1)`, `flip`, `cutout(2)`")
            .help(near.map_or("write one of them".to_string(), |near| format!("did you mean `{near}`?")));
        return None;
    };
    let Some(param) = param else {
        let Some(first) = args.first() else { return Some(make(0)) };
        cx.report(Code::E0304, first.value.span, format!("`{name}` takes no argument"))
            .at("one argument too many")
            .help(format!("write `{name}`"));
        return None;
    };
    let of_this = |arg: &ast::Arg| arg.name.as_ref().is_none_or(|given| given.text == *param);
    let [arg] = args else {
        let code = if args.is_empty() { Code::E0303 } else { Code::E0304 };
        cx.report(code, e.span, format!("`{name}` takes one argument, `{param}`"))
            .at(format!("{} arguments", args.len()))
            .help(format!("write `{name}({param} = 1)`"));
        return None;
    };
    if !of_this(arg) {
        cx.report(Code::E0205, arg.value.span, format!("the argument of `{name}` is `{param}`"))
            .at("unknown argument")
            .help(format!("write `{name}({param} = …)`"));
        return None;
    }
    let size = settings::size(cx, &arg.value, &format!("`{param}` of `{name}`"))?;
    fits(cx, (name, param, size), arg, image).then(|| make(size))
}

/// Whether the size is smaller than the image: one axis of one element counts as no axis.
fn fits(cx: &mut Cx, (name, param, size): (&str, &str, usize), arg: &ast::Arg, image: [usize; 2]) -> bool {
    let [height, width] = image;
    let least = if height == 1 { width } else { height.min(width) };
    let most = if name == "cutout" { least } else { least - 1 };
    if size > most {
        let shown = if height == 1 { format!("{width} elements") } else { format!("{height} by {width}") };
        let why = match name {
            "cutout" => "nothing may be left of the image",
            "crop" => "the image may leave its window",
            _ => "it comes round more than once",
        };
        cx.report(Code::E0808, arg.value.span, format!("`{name}({param} = {size})` of images of {shown}"))
            .at(why)
            .help(format!("`{param}` is at most {most}"));
    }
    size <= most
}
