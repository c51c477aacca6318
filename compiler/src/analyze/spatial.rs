//! Projections of images: `conv`, `avg_pool`, `max_pool`; what they are over, what stands around an image, and whether the target has the
//! size that comes out. And the function `conv(w, x)` of weights that have a name.

use super::circuit::scope_of;
use super::context::{Cx, is_poison, poison};
use super::projection::{Line, Made, argument, weighted};
use super::scope::{Place, Scope};
use super::{axes, builtin, pointwise, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, ExprKind};
use crate::source::Span;
use crate::step::Slide;
use snn_runtime::windows::Windows;

/// `conv`: every channel of the target sees all channels of the source (of its group) through one kernel.
pub(super) fn conv<'a>(cx: &mut Cx<'a>, line: &Line<'a>) -> Option<Made> {
    let groups = match argument(line.args, "groups") {
        Some(e) => axes::whole(cx, &mut scope_of(line.level, Place::Constant), e, "a number of groups", 1)?,
        None => 1,
    };
    let channels = cx.model.populations[line.target.idx()].shape.first().copied().unwrap_or(1);
    let (over, image) = windows(cx, line, Some(channels), groups)?;
    let [out, of_group] = [over.channels[1], over.channels[0] / over.groups];
    let shape = vec![out, of_group, over.kernel[0], over.kernel[1]];
    let fans = [over.taps(), out * over.area()];
    weighted(cx, line, shape, fans, Some(over), |w| ExprKind::Slide {
        slide: Slide::Conv,
        over,
        value: Box::new(image),
        weight: Some(Box::new(w)),
    })
}

/// `avg_pool`, `max_pool`: each channel by itself.
pub(super) fn pool<'a>(cx: &mut Cx<'a>, line: &Line<'a>) -> Option<Made> {
    let channels = line.source.shape.first().copied().unwrap_or(1);
    let (over, image) = windows(cx, line, None, channels)?;
    let slide = if line.kind == "max_pool" { Slide::Max } else { Slide::Mean };
    let population = &cx.model.populations[line.target.idx()];
    let (shape, declared) = (population.shape.clone(), population.span);
    let (port_unit, port) = (population.ports[line.port].unit, population.ports[line.port].name.clone());
    let kind = ExprKind::Slide { slide, over, value: Box::new(image), weight: None };
    let value = Expr { kind, unit: line.source.unit, shape, span: line.span };
    let value = unit::expect(cx, value, port_unit, &port, declared);
    (!is_poison(&value)).then_some(Made { value, weight: None, over: Some(over) })
}

/// `conv(w, x, stride = 1, padding = 0, groups = 1)`: weights `[out, in / groups, height, width]` over an image.
pub(super) fn call<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    if !matches!(scope.place, Place::Model | Place::Unknown) {
        cx.report(Code::E0309, span, format!("`conv` in {}", scope.place.words()))
            .at("not available here")
            .note("a convolution is between populations")
            .help("write it in a circuit or model: `h.i = conv(w, x)`, `x -> h : conv(kernel = 3)`");
        return poison(span);
    }
    const OPTIONS: [&str; 3] = ["stride", "padding", "groups"];
    let is_option = |arg: &ast::Arg| arg.name.as_ref().is_some_and(|n| OPTIONS.contains(&&n.text[..]));
    let operands = builtin::arguments(cx, scope, "conv", &["w", "x"], &OPTIONS, args, span);
    let Some([w, x]) = operands.and_then(|values| <[Expr; 2]>::try_from(values).ok()) else {
        return poison(span);
    };
    if is_poison(&w) || is_poison(&x) || scope.place == Place::Unknown {
        return poison(span);
    }
    let [out, of_group, height, width] = *w.shape.as_slice() else {
        cx.report(Code::E0507, w.span, format!("`conv` with weights {:?}", w.shape))
            .at("weights of windows are wanted")
            .help("declare them as `learn w: [out, in, height, width] = …`");
        return poison(span);
    };
    if !pointwise::is_weights(cx, &w) {
        cx.report(Code::E0507, w.span, "these are values of a population, not weights")
            .at("weights are the first operand")
            .help("write `conv(w, x)` with `learn w: [out, in, height, width] = …`");
        return poison(span);
    }
    let Some((is_row, size)) = image(cx, "conv", &x.shape, x.span) else { return poison(span) };
    let options: Vec<&ast::Arg> = args.iter().filter(|arg| is_option(arg)).collect();
    let mut option = |name: &str, what: &str, least: usize| {
        let given = options.iter().find(|arg| arg.name.as_ref().is_some_and(|n| n.text == name));
        let default = [usize::from(least > 0), least];
        given.map_or(Some(default), |arg| pair(cx, scope, &arg.value, what, default, is_row))
    };
    let stride = option("stride", "a stride", 1);
    let padding = option("padding", "a padding", 0);
    let groups = option("groups", "a number of groups", 1).map(|groups| groups[1]);
    let (Some(stride), Some(padding), Some(groups)) = (stride, padding, groups) else { return poison(span) };
    let channels = [x.shape[0], out];
    let over = Windows { channels, size, kernel: [height, width], stride, padding, groups };
    if !is_valid(cx, "conv", &x.shape, (&over, false), [span, w.span]) {
        return poison(span);
    }
    if of_group * groups != channels[0] {
        let title = format!("weights of {} channels over an image of {}", of_group * groups, channels[0]);
        cx.report(Code::E0507, span, title)
            .at("the numbers of channels differ")
            .label(w.span, format!("axes {:?}: out, in, height, width", w.shape))
            .label(x.span, format!("{:?} values", x.shape))
            .help(
                "the second axis of the weights is the number of channels of the image: `size(x, axis = 0)`",
            );
        return poison(span);
    }
    let Some(unit) = w.unit.mul(x.unit) else {
        cx.report(Code::E0401, span, "the unit of this result is too large a power").at("no such unit");
        return poison(span);
    };
    let shape = result(&over, is_row);
    let kind = ExprKind::Slide { slide: Slide::Conv, over, value: Box::new(x), weight: Some(Box::new(w)) };
    Expr { kind, unit, shape, span }
}

/// Whether an image has one dimension, and its height and width; none after a message.
fn image(cx: &mut Cx, kind: &str, shape: &[usize], span: Span) -> Option<(bool, [usize; 2])> {
    match *shape {
        [_, height, width] => Some((false, [height, width])),
        [_, length] => Some((true, [1, length])),
        _ => {
            cx.report(Code::E0507, span, format!("`{kind}` of {shape:?} values"))
                .at("an image is wanted")
                .note("images are `[channels, height, width]`, in one dimension `[channels, length]`")
                .help("give the axes where the source is declared: `input x: [1, 8, 8]`");
            None
        }
    }
}

/// The axes of what comes out.
fn result(over: &Windows, is_row: bool) -> Vec<usize> {
    let [height, width] = over.out_size();
    let mut shape = vec![over.channels[1]];
    shape.extend(if is_row { vec![width] } else { vec![height, width] });
    shape
}

/// What a projection is over, and the image that it is over: the source, or the source with its border. The target is checked; none
/// after a message. `channels`: of the result, if not those of the source.
fn windows<'a>(
    cx: &mut Cx<'a>,
    line: &Line<'a>,
    channels: Option<usize>,
    groups: usize,
) -> Option<(Windows, Expr)> {
    let from = line.source.shape.clone();
    let (is_row, size) = image(cx, line.kind, &from, line.span)?;
    let Some(kernel) = argument(line.args, "kernel") else {
        cx.report(Code::E0303, line.span, format!("`{}` needs a kernel", line.kind))
            .at("how large are the windows?")
            .help(format!("write `{}(kernel = {})`", line.kind, if channels.is_some() { 3 } else { 2 }));
        return None;
    };
    let kernel_span = kernel.span;
    let mut scope = scope_of(line.level, Place::Constant);
    let kernel = pair(cx, &mut scope, kernel, "a kernel", [1, 1], is_row)?;
    let default = if channels.is_some() { [1, 1] } else { kernel };
    let mut given = |name: &str, what: &str, least: usize, default: [usize; 2]| {
        let e = argument(line.args, name);
        let of_height = usize::from(least > 0);
        e.map_or(Some(default), |e| pair(cx, &mut scope, e, what, [of_height, least], is_row))
    };
    let stride = given("stride", "a stride", 1, default)?;
    let padding = given("padding", "a padding", 0, [0, 0])?;
    let channels = [from[0], channels.unwrap_or(from[0])];
    let over = Windows { channels, size, kernel, stride, padding, groups };
    let is_circular = circular(cx, line, &over)?;
    if !is_valid(cx, line.kind, &from, (&over, is_circular), [line.span, kernel_span])
        || !fits(cx, line, &over, is_row)
    {
        return None;
    }
    let image = line.source.clone();
    Some(if is_circular { (over.inside_of_border(), around(image, over.border())) } else { (over, image) })
}

/// An image with its circular border.
fn around(image: Expr, over: Windows) -> Expr {
    let ([height, width], is_row) = (over.out_size(), image.shape.len() == 2);
    let mut shape = vec![over.channels[1]];
    shape.extend(if is_row { vec![width] } else { vec![height, width] });
    let (unit, span) = (image.unit, image.span);
    let kind = ExprKind::Slide { slide: Slide::Border, over, value: Box::new(image), weight: None };
    Expr { kind, unit, shape, span }
}

/// `border = circular`, and whether there is a border of that kind; none after a message.
fn circular<'a>(cx: &mut Cx<'a>, line: &Line<'a>, over: &Windows) -> Option<bool> {
    let Some(e) = argument(line.args, "border") else { return Some(false) };
    let word = match &e.kind {
        ast::ExprKind::Name(path) if path.segments.len() == 1 => &path.segments[0].text[..],
        _ => "",
    };
    if word != "circular" && word != "zeros" {
        cx.report(Code::E0301, e.span, "a border is `zeros` or `circular`")
            .at("neither of them")
            .help("`circular`: what lies before the first element of an axis is the last one");
        return None;
    }
    if over.padding == [0, 0] {
        cx.report(Code::E0507, e.span, format!("a border of `{word}` without padding"))
            .at("nothing stands around the image")
            .help(format!("`padding = {}` says how wide the border is", (over.kernel[1] / 2).max(1)));
        return None;
    }
    let too_wide = (0..2).find(|axis| over.padding[*axis] > over.size[*axis]);
    if let (Some(axis), "circular") = (too_wide, word) {
        let (padding, size) = (over.padding[axis], over.size[axis]);
        cx.report(Code::E0507, e.span, format!("a circular border of {padding} around {size} elements"))
            .at("it goes round more than once")
            .help(format!("the padding is at most {size}"));
        return None;
    }
    Some(word == "circular")
}

/// Whether every window meets the image, and groups are of equal size. `spans`: of all, and of the kernel.
fn is_valid(
    cx: &mut Cx,
    kind: &str,
    from: &[usize],
    (over, is_circular): (&Windows, bool),
    spans: [Span; 2],
) -> bool {
    for axis in 0..2 {
        let (kernel, padding, size) = (over.kernel[axis], over.padding[axis], over.size[axis]);
        if padding >= kernel && padding > 0 && !is_circular {
            let title = format!("a padding of {padding} with a kernel of {kernel}");
            cx.report(Code::E0507, spans[0], title)
                .at("some windows see nothing of the image")
                .help(format!("the padding is at most {}", kernel - 1));
            return false;
        }
        if over.along(axis).is_none() {
            let title = format!("a kernel of {kernel} is larger than the image, {}", padded(size, padding));
            cx.report(Code::E0507, spans[1], title)
                .at("no window fits")
                .note(format!("`{kind}` reads {from:?} values"));
            return false;
        }
    }
    if let Some(c) = over.channels.iter().find(|c| **c % over.groups != 0) {
        let title = format!("{c} channels are not {} groups of equal size", over.groups);
        cx.report(Code::E0507, spans[0], title)
            .at(format!("from {} channels to {}", over.channels[0], over.channels[1]))
            .help("`groups` divides both numbers of channels");
        return false;
    }
    true
}

/// Whether the target has the size that comes out.
fn fits(cx: &mut Cx, line: &Line, over: &Windows, is_row: bool) -> bool {
    let population = &cx.model.populations[line.target.idx()];
    let (found, declared, name) = (population.shape.clone(), population.span, population.name.clone());
    let expected = result(over, is_row);
    if found == expected {
        return true;
    }
    let from = line.source.shape.clone();
    let title = format!("`{}` of {from:?} values gives {expected:?}, not {found:?}", line.kind);
    let message = cx.report(Code::E0507, line.span, title);
    message.at(format!("{expected:?} values")).label(declared, format!("`{name}` has {found:?}"));
    let axes: &[(usize, &str)] = if is_row { &[(1, "length")] } else { &[(0, "height"), (1, "width")] };
    for &(axis, what) in axes {
        message.note(format!(
            "{what}: ({} - {}) / {} + 1 = {}",
            padded(over.size[axis], over.padding[axis]),
            over.kernel[axis],
            over.stride[axis],
            over.out_size()[axis]
        ));
    }
    let same = |axis: usize| {
        over.kernel[axis] % 2 == 1 && found.get(axis + 1 - usize::from(is_row)) == Some(&over.size[axis])
    };
    let keeps = over.stride == [1, 1] && over.padding == [0, 0] && found.len() == expected.len() && same(1);
    let help = format!("declare `{name}` with {expected:?}");
    message.help(match keeps && line.kind == "conv" {
        true => format!("{help}; with `padding = {}` the size stays", over.kernel[1] / 2),
        false => help,
    });
    false
}

/// `8`, `8 + 2 * 1`
fn padded(size: usize, padding: usize) -> String {
    if padding == 0 { size.to_string() } else { format!("{size} + 2 * {padding}") }
}

/// One number for both axes, or a number for each; of a row the number for its only axis.
fn pair<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    e: &'a ast::Expr,
    what: &str,
    [of_height, least]: [usize; 2],
    is_row: bool,
) -> Option<[usize; 2]> {
    match &e.kind {
        ast::ExprKind::List(list) if list.len() == 2 && !is_row => {
            let both = [0, 1].map(|k| axes::whole(cx, scope, &list[k], what, least));
            Some([both[0]?, both[1]?])
        }
        ast::ExprKind::List(list) => {
            let title = format!("{what} of {} numbers", list.len());
            let help = match is_row {
                true => "the source has one dimension: write one number",
                false => "write one number for both axes, or `[height, width]`",
            };
            cx.report(Code::E0507, e.span, title).at("not a number for each axis").help(help);
            None
        }
        _ => {
            let one = axes::whole(cx, scope, e, what, least)?;
            Some([if is_row { of_height } else { one }, one])
        }
    }
}
