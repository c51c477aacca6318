//! Tables of text: one sample a line, one column of which is the label. Commas, semicolons or tabs; quotes; a header or none.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use super::{Dataset, MAX_CLASSES, Target, classes};
use crate::error::{Result, RuntimeError};
use crate::files;

/// A field and where it begins, from 1.
struct Cell {
    text: String,
    line: usize,
    column: usize,
}

/// Reads a file; gives its bytes, too.
pub fn read(path: &Path, label: &str) -> Result<(Dataset, usize)> {
    let text = files::read(path)?;
    Ok((parse(&text, label, &path.display().to_string())?, text.len()))
}

/// Reads bytes; `place` names them in errors. `label` is the name of a column of the header, or a number from 0.
///
/// The first line is a header if `label` stands in it, or if a field of it other than the label is not a number.
/// Labels that are all whole numbers are class numbers; other numbers are values; anything else are names of
/// classes, which are numbered in the order of their names.
pub fn parse(bytes: &[u8], label: &str, place: &str) -> Result<Dataset> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        RuntimeError::new("E0902", "the text is not UTF-8").at(format!("{place}, byte {}", e.valid_up_to()))
    })?;
    let mut rows = Rows::new(text.strip_prefix('\u{feff}').unwrap_or(text), place);
    let Some(first) = rows.next().transpose()? else {
        return Err(RuntimeError::new("E0902", "the table is empty").at(place));
    };
    let named = first.iter().position(|cell| cell.text == label);
    let numbered = label.parse::<usize>().ok().filter(|&i| i < first.len());
    let header = named.is_some() && (numbered.is_none() || is_header(&first, named));
    let Some(label_idx) = (if header { named } else { numbered }) else {
        let names = Vec::from_iter(first.iter().map(|cell| cell.text.as_str())).join(", ");
        return Err(RuntimeError::new("E0910", format!("there is no column `{label}`")).at(place).help(
            format!("a name of the first line or a number from 0 to {}; it holds: {names}", first.len() - 1),
        ));
    };
    let header = header || is_header(&first, Some(label_idx));
    let (fields, mut x, mut labels) = (first.len(), Vec::new(), Vec::new());
    for row in (!header).then_some(Ok(first)).into_iter().chain(rows) {
        let mut row = row?;
        if row.len() != fields {
            let (cell, message) = (&row[0], format!("expected {fields} fields, found {}", row.len()));
            return Err(
                RuntimeError::new("E0902", message).at(format!("{place}:{}:{}", cell.line, cell.column))
            );
        }
        for (_, cell) in row.iter().enumerate().filter(|&(i, _)| i != label_idx) {
            let value = cell.text.parse::<f32>().map_err(|_| {
                let message = format!("expected a number, found `{}`", cell.text.escape_debug());
                RuntimeError::new("E0902", message).at(format!("{place}:{}:{}", cell.line, cell.column))
            })?;
            if !value.is_finite() {
                return Err(RuntimeError::new("E0904", format!("`{}` is not a finite number", cell.text))
                    .at(format!("{place}:{}:{}", cell.line, cell.column))
                    .help("remove or replace such samples"));
            }
            x.push(value);
        }
        labels.push(row.swap_remove(label_idx));
    }
    let samples = labels.len();
    Dataset::new(place, x, samples, vec![fields - 1], target(&labels, place)?)
}

/// Whether a field other than the label is not a number.
fn is_header(row: &[Cell], label: Option<usize>) -> bool {
    row.iter().enumerate().any(|(i, cell)| Some(i) != label && cell.text.parse::<f32>().is_err())
}

fn target(cells: &[Cell], place: &str) -> Result<Target> {
    if let Some(cell) = cells.iter().find(|cell| cell.text.is_empty()) {
        return Err(RuntimeError::new("E0909", "the label is missing")
            .at(format!("{place}:{}:{}", cell.line, cell.column)));
    }
    if let Ok(labels) =
        cells.iter().map(|cell| cell.text.parse::<i64>()).collect::<std::result::Result<Vec<_>, _>>()
    {
        if let Some((cell, _)) =
            cells.iter().zip(&labels).find(|(_, l)| !(0..i64::from(MAX_CLASSES)).contains(*l))
        {
            return classes(
                [cell.text.parse().unwrap_or(-1)],
                &format!("{place}:{}:{}", cell.line, cell.column),
            );
        }
        return classes(labels, place);
    }
    if let Ok(y) = cells.iter().map(|cell| cell.text.parse::<f32>()).collect() {
        return Ok(Target::Values { y, width: 1 });
    }
    let names: Vec<&str> =
        BTreeSet::from_iter(cells.iter().map(|cell| cell.text.as_str())).into_iter().collect();
    if names.len() > MAX_CLASSES as usize {
        return Err(
            RuntimeError::new("E0909", format!("{} different labels are too many", names.len())).at(place)
        );
    }
    let number = |cell: &Cell| names.binary_search(&cell.text.as_str()).unwrap_or(0) as u32;
    let labels = cells.iter().map(number).collect();
    Ok(Target::Classes { labels, n: names.len(), names: Some(names.into_iter().map(String::from).collect()) })
}

/// The fields of all lines that are not blank, line after line. Quoted fields may hold separators, line ends and doubled quotes.
struct Rows<'a> {
    chars: Peekable<Chars<'a>>,
    separator: char,
    line: usize,
    column: usize,
    place: &'a str,
}

impl<'a> Rows<'a> {
    fn new(text: &'a str, place: &'a str) -> Rows<'a> {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
        let separator = [',', ';', '\t'].into_iter().find(|&c| first.contains(c)).unwrap_or(',');
        Rows { chars: text.chars().peekable(), separator, line: 1, column: 1, place }
    }

    fn error(&self, line: usize, column: usize, message: String) -> RuntimeError {
        RuntimeError::new("E0902", message).at(format!("{}:{line}:{column}", self.place))
    }

    /// A field, whether it was quoted, and what ended it: none at the end of the text.
    fn cell(&mut self) -> Result<(Cell, bool, Option<char>)> {
        let mut cell = Cell { text: String::new(), line: self.line, column: self.column };
        let mut quoted = false;
        let mut was_quoted = false;
        let end = loop {
            let Some(c) = self.chars.next() else { break None };
            self.column += 1;
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            }
            match c {
                '"' if quoted && self.chars.peek() == Some(&'"') => {
                    self.chars.next();
                    self.column += 1;
                    cell.text.push('"');
                }
                '"' if quoted => quoted = false,
                '"' if !was_quoted && cell.text.trim().is_empty() => {
                    (quoted, was_quoted) = (true, true);
                    cell.text.clear();
                }
                _ if quoted => cell.text.push(c),
                '\n' => break Some(c),
                _ if c == self.separator => break Some(c),
                _ if was_quoted && !c.is_whitespace() => {
                    let message =
                        format!("expected a separator after the quoted field, found `{}`", c.escape_debug());
                    return Err(self.error(self.line, self.column - 1, message));
                }
                _ if was_quoted => {}
                _ => cell.text.push(c),
            }
        };
        if quoted {
            return Err(self.error(cell.line, cell.column, "the quoted field does not end".into()));
        }
        if !was_quoted {
            cell.text = cell.text.trim().to_string();
        }
        Ok((cell, was_quoted, end))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Vec<Cell>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut row = Vec::new();
        loop {
            let (cell, was_quoted, end) = match self.cell() {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            let has_next = end == Some(self.separator);
            if !row.is_empty() || !cell.text.is_empty() || was_quoted || has_next {
                row.push(cell);
            }
            if !has_next && (end.is_none() || !row.is_empty()) {
                return (!row.is_empty()).then_some(Ok(row));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, label: &str) -> Dataset {
        parse(text.as_bytes(), label, "t").unwrap()
    }

    fn fails(text: &[u8], label: &str) -> (&'static str, String) {
        let error = parse(text, label, "t").unwrap_err();
        (error.code, error.place.unwrap())
    }

    #[test]
    fn names_become_sorted_classes() {
        let data = read("\u{feff}a,species,b\r\n1, rose ,2\r\n\r\n3,\"iris \"\"x\"\"\",4\r\n", "species");
        assert_eq!((data.x, data.shape), (vec![1.0, 2.0, 3.0, 4.0], vec![2]));
        let names = Some(vec!["iris \"x\"".to_string(), "rose".to_string()]);
        assert_eq!(data.target, Target::Classes { labels: vec![1, 0], n: 2, names });
    }

    #[test]
    fn header_is_optional_and_label_may_be_a_number() {
        let expected = Target::Classes { labels: vec![0, 2], n: 3, names: None };
        assert_eq!(read("1;2;0\n3;4;2", "2").target, expected);
        assert_eq!(read("a\tb\tc\n1\t2\t0\n3\t4\t2\n", "2").target, expected);
        assert_eq!(read("x,1\nx,2\n", "0").samples, 2);
        assert_eq!(read("1,0.5\n2,1\n", "1").target, Target::Values { y: vec![0.5, 1.0], width: 1 });
    }

    #[test]
    fn errors_have_line_and_column() {
        assert_eq!(fails(b"a,l\n1,0\nx,1\n", "l"), ("E0902", "t:3:1".into()));
        assert_eq!(fails(b"l,a\n0,1\n1,\n", "l"), ("E0902", "t:3:3".into()));
        assert_eq!(fails(b"a,l\n1,0\n1,2,3\n", "l"), ("E0902", "t:3:1".into()));
        assert_eq!(fails(b"a,l\nnan,0\n", "l"), ("E0904", "t:2:1".into()));
        assert_eq!(fails(b"a,l\n1,-1\n", "l"), ("E0909", "t:2:3".into()));
        assert_eq!(fails(b"a,l\n1,\n", "l"), ("E0909", "t:2:3".into()));
        assert_eq!(fails(b"a,l\n1,\"x\n", "l"), ("E0902", "t:2:3".into()));
        assert_eq!(fails(b"a,l\n\"1\"2,3\n", "l"), ("E0902", "t:2:4".into()));
        assert_eq!(fails(b"a,b\n1,2\n", "l").0, "E0910");
        assert_eq!(fails(b"a,b\n1,2\n", "2").0, "E0910");
        assert_eq!(fails(b"", "l").0, "E0902");
        assert_eq!(fails(b"a,l\n", "l").0, "E0903");
        assert_eq!(fails(b"l\n1\n", "l").0, "E0903");
        assert_eq!(fails(b"a,\xff\n", "l"), ("E0902", "t, byte 2".into()));
    }
}
