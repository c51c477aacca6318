//! Convolutions beside the plain reference, in both modes and at every width of vectors.

use super::super::reference;
use super::*;

fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut row = vec![0.0; len];
    crate::rng::gaussian_row(&mut row, 7, seed, 0, 0);
    row
}

const SHAPES: [Windows; 10] = [
    Windows { channels: [1, 4], size: [5, 7], kernel: [3, 3], stride: [1, 1], padding: [1, 1], groups: 1 },
    Windows { channels: [4, 6], size: [6, 5], kernel: [2, 3], stride: [2, 1], padding: [0, 2], groups: 2 },
    Windows { channels: [3, 3], size: [1, 9], kernel: [1, 4], stride: [1, 3], padding: [0, 1], groups: 3 },
    Windows { channels: [8, 16], size: [4, 4], kernel: [1, 1], stride: [1, 1], padding: [0, 0], groups: 2 },
    Windows { channels: [5, 40], size: [9, 9], kernel: [5, 5], stride: [3, 2], padding: [4, 1], groups: 1 },
    Windows { channels: [2, 2], size: [3, 3], kernel: [3, 3], stride: [1, 1], padding: [0, 0], groups: 1 },
    Windows { channels: [6, 74], size: [8, 12], kernel: [3, 5], stride: [1, 1], padding: [1, 2], groups: 2 },
    Windows { channels: [16, 24], size: [9, 10], kernel: [3, 3], stride: [2, 1], padding: [1, 1], groups: 2 },
    Windows { channels: [24, 16], size: [9, 10], kernel: [3, 3], stride: [1, 1], padding: [1, 1], groups: 2 },
    Windows { channels: [2, 3], size: [1, 640], kernel: [1, 7], stride: [1, 1], padding: [0, 3], groups: 1 },
];

fn run(conv: ConvFn, part: u64, over: &Windows, rows: usize, [a, b]: [&[f32]; 2], c: &mut [f32]) {
    let [g0, g1, g2, g3, g4, g5] = over.packed();
    let (wide, narrow) = (over.width_in() as i64, over.width_out() as i64);
    let [a_rs, b_rs, c_rs] = [[wide, 0, narrow], [narrow, 0, wide], [wide, narrow, 0]][part as usize % 3];
    // SAFETY: the slices have the rows.
    unsafe {
        conv(
            part,
            rows as u64,
            g0,
            g1,
            g2,
            g3,
            g4,
            g5,
            a.as_ptr(),
            a_rs,
            b.as_ptr(),
            b_rs,
            c.as_mut_ptr(),
            c_rs,
        )
    }
}

#[track_caller]
fn same(conv: ConvFn, got: &[f32], expected: &[f32]) {
    let is_strict = conv as usize == snn_conv_strict as *const () as usize;
    for (got, expected) in got.iter().zip(expected) {
        match is_strict {
            true => assert_eq!(got.to_bits(), expected.to_bits()),
            false => {
                assert!((got - expected).abs() <= 5e-4 * expected.abs().max(1.0), "{got} {expected}")
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn without_patches_it_is_the_same_at_every_width() {
    type Direct = unsafe fn(&Windows, u64, Rows, &mut direct::Scratch);
    let mut widths: Vec<Direct> = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        widths.push(direct::avx2);
    }
    if is_x86_feature_detected!("avx512f") {
        widths.push(direct::avx512);
    }
    let rows = 5;
    for (over, direct) in SHAPES.iter().flat_map(|over| widths.iter().map(move |width| (over, width))) {
        let (wide, narrow) = (over.width_in(), over.width_out());
        let (x, d) = (numbers(rows * wide, 1), numbers(rows * narrow, 2));
        let w = numbers(over.taps() * over.channels[1], 3);
        let expected = [
            reference::conv(over, rows, &x, &w),
            reference::conv_to_image(over, rows, &d, &w),
            reference::conv_to_weights(over, rows, &x, &d),
        ];
        let factors = [[(&x, wide), (&w, 0)], [(&d, narrow), (&w, 0)], [(&x, wide), (&d, narrow)]];
        let mut scratch = direct::Scratch::default();
        for (part, [a, b]) in factors.into_iter().enumerate() {
            let mut c = vec![f32::NAN; expected[part].len()];
            if direct::can(over, part as u64) {
                let of = |(numbers, stride): (&Vec<f32>, usize)| (numbers.as_ptr(), stride as isize);
                let c_rs = [narrow, wide, 0][part] as isize;
                let all = Rows { rows, a: of(a), b: of(b), c: (c.as_mut_ptr(), c_rs) };
                // SAFETY: the slices have the rows, and the machine the vectors.
                unsafe { direct(over, part as u64, all, &mut scratch) };
                same(snn_conv_fast, &c, &expected[part]);
            }
        }
    }
}

#[test]
fn parts_are_what_they_are_defined_as() {
    // Small images are done several at once, and the last ones are fewer.
    let rows = 19;
    #[cfg(target_arch = "x86_64")]
    assert!(SHAPES.iter().any(|over| (0..3).all(|part| super::winograd::pays(over, part))));
    for (at, over) in SHAPES.iter().enumerate() {
        assert!(over.is_valid());
        let seed = 10 * at as u64;
        let x = numbers(rows * over.width_in(), seed);
        let w = numbers(over.taps() * over.channels[1], seed + 1);
        let d = numbers(rows * over.width_out(), seed + 2);
        for conv in [snn_conv_fast as ConvFn, snn_conv_strict] {
            let mut y = vec![f32::NAN; d.len()];
            run(conv, 0, over, rows, [&x, &w], &mut y);
            same(conv, &y, &reference::conv(over, rows, &x, &w));
            let mut dx = vec![f32::NAN; x.len()];
            run(conv, 1, over, rows, [&d, &w], &mut dx);
            same(conv, &dx, &reference::conv_to_image(over, rows, &d, &w));
            let mut dw = vec![f32::NAN; w.len()];
            run(conv, 2, over, rows, [&x, &d], &mut dw);
            same(conv, &dw, &reference::conv_to_weights(over, rows, &x, &d));
        }
    }
}

/// Kernels of three rows over images with every remainder of tiles, wider and narrower than results, in groups.
#[cfg(target_arch = "x86_64")]
fn tall() -> impl Iterator<Item = Windows> {
    (3..18).flat_map(|height| (0..3).map(move |above| (height, above))).map(|(height, above)| Windows {
        channels: [[4, 6], [1, 33], [6, 2]][height % 3],
        size: [height, [5, 16, 8, 19][height % 4]],
        kernel: [3, 1 + (height + above) % 3],
        stride: [1, 1],
        padding: [above, (height + above) % 3 * (height % 2)],
        groups: [2, 1, 2][height % 3],
    })
}

#[cfg(target_arch = "x86_64")]
#[test]
fn minimal_filtering_is_the_same_at_every_width() {
    use super::super::winograd;
    type Filter = unsafe fn(&Windows, u64, Rows, &mut winograd::Scratch);
    let mut widths: Vec<Filter> = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        widths.push(winograd::avx2);
    }
    if is_x86_feature_detected!("avx512f") {
        widths.push(winograd::avx512);
    }
    let mut scratch = winograd::Scratch::default();
    for (at, over) in tall().enumerate() {
        let rows = 1 + at % 7 * 4;
        assert!(over.is_valid() && winograd::can(&over), "{over:?}");
        let (wide, narrow) = (over.width_in(), over.width_out());
        let (x, d) = (numbers(rows * wide, 1), numbers(rows * narrow, 2));
        let w = numbers(over.taps() * over.channels[1], 3);
        let all = |x: &[f32], d: &[f32], w: &[f32]| {
            [
                reference::conv(&over, rows, x, w),
                reference::conv_to_image(&over, rows, d, w),
                reference::conv_to_weights(&over, rows, x, d),
            ]
        };
        let absolute = |numbers: &[f32]| numbers.iter().map(|x| x.abs()).collect::<Vec<f32>>();
        let (expected, bound) = (all(&x, &d, &w), all(&absolute(&x), &absolute(&d), &absolute(&w)));
        let factors = [[(&x, wide), (&w, 0)], [(&d, narrow), (&w, 0)], [(&x, wide), (&d, narrow)]];
        for (part, filter) in (0..3).flat_map(|part| widths.iter().map(move |width| (part, width))) {
            let mut c = vec![f32::NAN; expected[part].len()];
            let [a, b] = factors[part].map(|(numbers, stride)| (numbers.as_ptr(), stride as isize));
            let c_rs = [narrow, wide, 0][part] as isize;
            // SAFETY: the slices have the rows, and the machine the vectors.
            unsafe {
                filter(&over, part as u64, Rows { rows, a, b, c: (c.as_mut_ptr(), c_rs) }, &mut scratch)
            };
            // Windows at the border have fewer products than those of the same tile, whose rounding they share.
            let most = bound[part].iter().fold(0.0, |most: f32, x| most.max(*x));
            for (got, expected) in c.iter().zip(&expected[part]) {
                let off = (got - expected).abs() / most;
                assert!(off <= 2e-6, "part {part} of {over:?}: {got} {expected}, {most}");
            }
        }
    }
}

#[test]
fn sums_of_zeros_are_exactly_0_where_that_counts() {
    for over in SHAPES.iter().filter(|over| winograd::pays(over, 0)) {
        let (rows, wide) = (2, over.width_in());
        let mut x = numbers(rows * wide, 1);
        // Nothing arrives from the lower half of each channel.
        let area = over.size[0] * over.size[1];
        x.chunks_mut(area).for_each(|channel| channel[over.size[0] / 2 * over.size[1]..].fill(0.0));
        let w = numbers(over.taps() * over.channels[1], 3);
        let expected = reference::conv(over, rows, &x, &w);
        let mut c = vec![f32::NAN; rows * over.width_out()];
        run(snn_conv_fast, 3, over, rows, [&x, &w], &mut c);
        same(snn_conv_fast, &c, &expected);
        let zeros = expected.iter().filter(|x| **x == 0.0).count();
        assert!(zeros > 0 && c.iter().zip(&expected).all(|(c, x)| *x != 0.0 || *c == 0.0), "{over:?}");
    }
}
