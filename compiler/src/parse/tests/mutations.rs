//! A deterministic search for texts that break the parser or printer: programs of the language reference, mutated.
//! `SNN_MUTATIONS=100000 cargo test mutations` searches longer.

use super::parsed;
use crate::ast::{File, print};
use crate::diag::render;
use crate::parse::{scan, split};

/// A small generator of pseudo-random numbers (xorshift), so that every run does the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

/// The declarations of a text as lists of tokens with the space behind them.
fn items(text: &str) -> Vec<Vec<&str>> {
    let scan = scan(text);
    let ends = scan.tokens.iter().skip(1).map(|t| t.start as usize).chain([text.len()]);
    let pieces: Vec<&str> =
        scan.tokens.iter().zip(ends).map(|(t, end)| &text[t.start as usize..end]).collect();
    split::items(&scan, text).into_iter().map(|range| pieces[range].to_vec()).collect()
}

const SPICE: [&str; 40] = [
    "\n",
    " ",
    "// c\n",
    "/// d\n",
    "\n// own\n",
    ";",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "=",
    "==",
    "'",
    "-",
    "^",
    ".",
    "..",
    "->",
    ":",
    "*",
    "not ",
    "and ",
    "s ",
    "5 ",
    "ms ",
    "% ",
    "step ",
    "\"a\" ",
    "let ",
    "param ",
    "stream ",
    "with ",
    "<",
    ">= ",
    "\u{e4}",
    "forward ",
    "\r\n",
];

fn mutated(mut parts: Vec<&str>, dice: &mut Dice) -> String {
    for _ in 0..=dice.roll(4) {
        let (at, other) = (dice.roll(parts.len()), dice.roll(parts.len()));
        match dice.roll(6) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, parts[other]),
            2 => parts.swap(at, other),
            3 => parts[at] = parts[at].trim_end(),
            _ => parts.insert(at, SPICE[dice.roll(SPICE.len())]),
        }
        if parts.is_empty() {
            break;
        }
    }
    parts.concat()
}

/// The words of all comments, which formatting may move or join, but not lose.
fn comment_words(tree: &File) -> Vec<&str> {
    let words = tree.comments.iter().flat_map(|c| c.text.split(|c: char| c == '/' || c.is_whitespace()));
    let mut words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
    words.sort_unstable();
    words
}

/// Parses; if it is a program, formats it and demands the same tree and text again. Whether it is one.
fn survives(text: &str) -> bool {
    let (tree, sources, diags) = parsed(text);
    render::to_text(&diags, &sources, false);
    let spans = diags.list.iter().flat_map(|d| d.labels.iter().map(|l| l.0).chain([d.primary.0]));
    for span in spans {
        let range = span.start as usize..span.end as usize;
        assert!(text.get(range).is_some(), "a span outside of the text:\n{text}");
    }
    if diags.has_errors() {
        return false;
    }
    let once = print::file(&tree, &sources);
    let (again, again_sources, again_diags) = parsed(&once);
    let shown = render::to_text(&again_diags, &again_sources, false);
    assert!(shown.is_empty(), "from:\n{text}\nto:\n{once}\n{shown}");
    assert_eq!(print::debug_tree(&again), print::debug_tree(&tree), "from:\n{text}\nto:\n{once}");
    assert_eq!(comment_words(&again), comment_words(&tree), "from:\n{text}\nto:\n{once}");
    assert_eq!(print::file(&again, &again_sources), once, "from:\n{text}");
    true
}

#[test]
fn mutated_programs_are_refused_or_printed_stably() {
    let n_rounds = std::env::var("SNN_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(2000);
    let page = include_str!("../../../../docs/language.md");
    let blocks = page.split("\n```").skip(1).step_by(2).filter_map(|b| b.split_once('\n')).map(|b| b.1);
    let items: Vec<Vec<&str>> = blocks.flat_map(items).collect();
    let mut dice = Dice(0x5eed);
    let mut n_programs = 0;
    for _ in 0..n_rounds {
        let mut parts = items[dice.roll(items.len())].clone();
        if dice.roll(2) == 0 {
            parts.extend(&items[dice.roll(items.len())]);
        }
        n_programs += usize::from(survives(&mutated(parts, &mut dice)));
    }
    println!("{n_programs} of {n_rounds} are programs");
}
