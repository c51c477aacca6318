//! Spikes as bits: packing, exchange of rows and columns, lists of them. No products: those are `spikes` and `shards`.
//!
//! A row of `k` spikes is `words(k)` words of 64 bits, the first spike in the lowest bit; bits beyond `k` mean nothing.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Spikes of a row that a list covers: as many rows of 32 floats, 128 KiB, are what the second-level cache holds.
pub(super) const DEPTH: usize = 1024;
/// Share of spikes up to which they are listed for a weight gradient.
const LISTED: f64 = 0.25;
/// Entries that may be written and read beyond the last.
pub(super) const SLACK: usize = 32;
/// 64-bit words of a row of `n` spikes.
pub fn words(n: usize) -> usize {
    n.div_ceil(64)
}

/// Sets the bits of what is not zero in the memory of `2 * words(values.len())` floats; gives whether all else is 1.
pub fn pack(values: &[f32], bits: &mut [f32]) -> bool {
    let mut strange = 0;
    for (chunk, word) in values.chunks(64).zip(bits.as_chunks_mut::<2>().0) {
        let mut set = 0u64;
        for (at, sixteen) in chunk.chunks(16).enumerate() {
            let mut all = [0.0; 16];
            let sixteen = match sixteen.first_chunk() {
                Some(whole) => whole,
                None => {
                    all[..sixteen.len()].copy_from_slice(sixteen);
                    &all
                }
            };
            let bits = differing_bits(sixteen, 0.0);
            strange |= !bits ^ differing_bits(sixteen, 1.0);
            set |= u64::from(bits) << (16 * at);
        }
        *word = [f32::from_bits(set as u32), f32::from_bits((set >> 32) as u32)];
    }
    strange & 0xffff == 0
}

/// Numbers of the bits of a row.
pub fn unpack(bits: &[f32], values: &mut [f32]) {
    for (j, value) in values.iter_mut().enumerate() {
        *value = (bits[j / 32].to_bits() >> (j % 32) & 1) as f32;
    }
}

/// Bit `j` says whether number `j` differs from `from`; every x86-64 has the instructions.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn differing_bits(chunk: &[f32; 16], from: f32) -> u32 {
    let mut bits = 0;
    for (at, quarter) in chunk.as_chunks::<4>().0.iter().enumerate() {
        // SAFETY: four numbers are read.
        let some =
            unsafe { _mm_movemask_ps(_mm_cmpneq_ps(_mm_loadu_ps(quarter.as_ptr()), _mm_set1_ps(from))) };
        bits |= (some as u32) << (4 * at);
    }
    bits
}

/// Bit `j` says whether number `j` differs from `from`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn differing_bits(chunk: &[f32; 16], from: f32) -> u32 {
    chunk.iter().enumerate().fold(0, |bits, (j, value)| bits | u32::from(*value != from) << j)
}

/// `(rows, k, bits, out)`: what a weight gradient wants of spikes, in the memory of `2 * turned_words` floats.
pub type TurnFn = unsafe extern "C" fn(u64, u64, *const u64, *mut u64);

/// Words of what [`snn_turn_spikes`] makes of `rows` rows of `k` spikes: `k` rows of `rows` bits, whether there are lists, and lists
/// for up to [`LISTED`] spikes.
pub fn turned_words(rows: usize, k: usize) -> usize {
    let ends = k * rows.div_ceil(DEPTH);
    k * words(rows) + 1 + ends.div_ceil(2) + (listed(rows, k) + SLACK).div_ceil(4)
}

fn listed(rows: usize, k: usize) -> usize {
    (LISTED * (rows * k) as f64) as usize
}

/// Exchanges rows and columns, and lists the spikes if they are few.
///
/// # Safety
/// `bits` has `rows * words(k)` words, `out` has `turned_words(rows, k)` and is written by nobody else.
pub unsafe extern "C" fn snn_turn_spikes(rows: u64, k: u64, bits: *const u64, out: *mut u64) {
    let (rows, k) = (rows as usize, k as usize);
    // SAFETY: the caller's promise; entries fit if there are no more than `listed` of them.
    unsafe {
        let len = k * words(rows);
        let bits = std::slice::from_raw_parts(bits, rows * words(k));
        transpose(rows, k, bits, std::slice::from_raw_parts_mut(out, len));
        let turned = Rows { bits: out, m: k, k: rows };
        let has_lists = turned.count() <= listed(rows, k);
        *out.add(len) = u64::from(has_lists);
        if has_lists {
            let (entries, ends) = turned.places_of_lists();
            let blocks = rows.div_ceil(DEPTH);
            let ends = std::slice::from_raw_parts_mut(ends, blocks * k);
            let mut at = 0;
            for (block, ends) in ends.chunks_mut(k.max(1)).enumerate() {
                at = turned.list(block * DEPTH, DEPTH, entries, at, ends);
            }
        }
    }
}

/// `m` rows of `k` spikes.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub bits: *const u64,
    pub m: usize,
    pub k: usize,
}

impl Rows {
    /// Number of spikes.
    pub unsafe fn count(&self) -> usize {
        // SAFETY: these rows.
        (0..self.m)
            .map(|i| unsafe { self.words(i) }.map(|(_, w)| w.count_ones() as usize).sum::<usize>())
            .sum()
    }

    /// Where the lists of [`snn_turn_spikes`] lie behind its rows: entries and the ends of rows.
    unsafe fn places_of_lists(&self) -> (*mut u16, *mut u32) {
        // SAFETY: the memory of `turned_words`.
        unsafe {
            let ends = self.bits.cast_mut().add(self.m * words(self.k) + 1);
            let entries = ends.add((self.m * self.k.div_ceil(DEPTH)).div_ceil(2));
            (entries.cast(), ends.cast())
        }
    }

    /// The lists that [`snn_turn_spikes`] made, if it did.
    pub unsafe fn lists(&self) -> Option<Lists> {
        // SAFETY: the memory of `turned_words`.
        unsafe {
            if *self.bits.add(self.m * words(self.k)) == 0 {
                return None;
            }
            let (entries, ends) = self.places_of_lists();
            Some(Lists { entries, ends })
        }
    }

    /// Lists the spikes of a piece of k from `k0` on, row after row from entry `at` on; gives the end.
    ///
    /// # Safety
    /// These rows; `entries` have room for all spikes and [`SLACK`] more.
    pub unsafe fn list(
        &self,
        k0: usize,
        depth: usize,
        entries: *mut u16,
        at: usize,
        ends: &mut [u32],
    ) -> usize {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
        {
            // SAFETY: the features are there; the rest is the caller's promise.
            return unsafe { self.list_avx512(k0, depth, entries, at, ends) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.list_words(k0, depth, entries, at, ends, put_places) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
    unsafe fn list_avx512(
        &self,
        k0: usize,
        depth: usize,
        entries: *mut u16,
        at: usize,
        ends: &mut [u32],
    ) -> usize {
        let places: [u8; 64] = std::array::from_fn(|lane| lane as u8);
        // SAFETY: 64 numbers are read, and up to 32 behind those of a word are written; the rest is the caller's promise.
        unsafe {
            let places = _mm512_loadu_epi8(places.as_ptr().cast());
            let put = |to: *mut u16, base: u16, word: u64| {
                let some = _mm512_maskz_compress_epi8(word, places);
                let few = _mm256_cvtepu8_epi16(_mm512_castsi512_si128(some));
                _mm256_storeu_epi16(to.cast(), _mm256_add_epi16(few, _mm256_set1_epi16(base as i16)));
                // Mostly there are few, and the processor guesses that.
                if word.count_ones() > 16 {
                    let halves = [_mm512_castsi512_si256(some), _mm512_extracti64x4_epi64::<1>(some)];
                    let base = _mm512_set1_epi16(base as i16);
                    let [low, high] = halves.map(|half| _mm512_add_epi16(_mm512_cvtepu8_epi16(half), base));
                    _mm512_storeu_epi16(to.cast(), low);
                    if word.count_ones() > 32 {
                        _mm512_storeu_epi16(to.add(32).cast(), high);
                    }
                }
            };
            self.list_words(k0, depth, entries, at, ends, put)
        }
    }

    /// [`Rows::list`], with what writes the places of a word: up to [`SLACK`] more than there are.
    #[inline(always)]
    pub unsafe fn list_words(
        &self,
        k0: usize,
        depth: usize,
        entries: *mut u16,
        mut at: usize,
        ends: &mut [u32],
        put: impl Fn(*mut u16, u16, u64),
    ) -> usize {
        let piece = k0 / 64..(k0 + depth) / 64;
        for (i, end) in ends.iter_mut().enumerate() {
            // SAFETY: a row of the spikes; room for all of them and SLACK more.
            unsafe {
                for (w, word) in self.words(i).skip(piece.start).take(piece.len()) {
                    put(entries.add(at), (64 * w - k0) as u16, word);
                    at += word.count_ones() as usize;
                }
            }
            *end = at as u32;
        }
        // SAFETY: the slack.
        unsafe { entries.add(at).cast::<[u16; 4]>().write_unaligned([0; 4]) };
        at
    }

    /// The words of a row; bits beyond `k` are 0.
    #[inline(always)]
    pub unsafe fn words(&self, i: usize) -> impl Iterator<Item = (usize, u64)> {
        let all = words(self.k);
        // SAFETY: row `i`.
        let row = unsafe { std::slice::from_raw_parts(self.bits.add(i * all), all) };
        let rest = self.k % 64;
        let last = if rest == 0 { u64::MAX } else { (1 << rest) - 1 };
        row.iter().enumerate().map(move |(w, word)| (w, if w + 1 == all { word & last } else { *word }))
    }
}

/// Writes the places of the bits of a word. Four places are written whether there are as many or not, so that the processor need not
/// guess.
#[inline(always)]
pub(super) fn put_places(mut to: *mut u16, base: u16, mut word: u64) {
    loop {
        for place in 0..4 {
            // SAFETY: the caller has room for all places and some more.
            unsafe { to.add(place).write(base.wrapping_add(word.trailing_zeros() as u16)) };
            word &= word.wrapping_sub(1);
        }
        if word == 0 {
            break;
        }
        to = to.wrapping_add(4);
    }
}

/// Places of spikes in pieces of [`DEPTH`], row after row, and for each piece and row the end of its entries.
#[derive(Clone, Copy)]
pub(super) struct Lists {
    pub entries: *const u16,
    pub ends: *const u32,
}

/// `out[j][i] = bits[i][j]`: `rows` rows of `k` bits become `k` rows.
pub(super) fn transpose(rows: usize, k: usize, bits: &[u64], out: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl")]
        fn wide(rows: usize, k: usize, bits: &[u64], out: &mut [u64]) {
            transpose_blocks(rows, k, bits, out);
        }
        #[target_feature(enable = "avx2")]
        fn narrow(rows: usize, k: usize, bits: &[u64], out: &mut [u64]) {
            transpose_blocks(rows, k, bits, out);
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the features are there.
            return unsafe { wide(rows, k, bits, out) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            return unsafe { narrow(rows, k, bits, out) };
        }
    }
    transpose_blocks(rows, k, bits, out);
}

#[inline(always)]
pub(super) fn transpose_blocks(rows: usize, k: usize, bits: &[u64], out: &mut [u64]) {
    let (from, to) = (words(k), words(rows));
    let mut block = [0u64; 64];
    for i0 in 0..to {
        for j0 in 0..from {
            for (i, word) in block.iter_mut().enumerate() {
                *word = if 64 * i0 + i < rows { bits[(64 * i0 + i) * from + j0] } else { 0 };
            }
            transpose_block(&mut block);
            for (j, word) in block.iter().enumerate().take(k - 64 * j0) {
                out[(64 * j0 + j) * to + i0] = *word;
            }
        }
    }
}

/// 64 rows of 64 bits, by exchanging quarters of ever smaller squares.
#[inline(always)]
fn transpose_block(block: &mut [u64; 64]) {
    exchange::<32>(block, u64::MAX >> 32);
    exchange::<16>(block, 0x0000_ffff_0000_ffff);
    exchange::<8>(block, 0x00ff_00ff_00ff_00ff);
    exchange::<4>(block, 0x0f0f_0f0f_0f0f_0f0f);
    exchange::<2>(block, 0x3333_3333_3333_3333);
    exchange::<1>(block, 0x5555_5555_5555_5555);
}

/// Exchanges the upper right and lower left quarters of all squares of twice `WIDTH` bits.
#[inline(always)]
fn exchange<const WIDTH: usize>(block: &mut [u64; 64], mask: u64) {
    for square in block.chunks_exact_mut(2 * WIDTH) {
        let (upper, lower) = square.split_at_mut(WIDTH);
        for (a, b) in upper.iter_mut().zip(lower) {
            let swap = ((*a >> WIDTH) ^ *b) & mask;
            *a ^= swap << WIDTH;
            *b ^= swap;
        }
    }
}
