//! Units as exponents of SI base units: their algebra, the names the language knows, and their text for people.
//!
//! Not here: where units must agree (`analyze`), and `step`, which is `dt` and depends on the job.

use std::fmt;

/// A unit: exponents of metre, kilogram, second, ampere, each doubled so that square roots exist.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Unit {
    /// Twice the exponent of the metre.
    pub m: i8,
    /// Twice the exponent of the kilogram.
    pub kg: i8,
    /// Twice the exponent of the second.
    pub s: i8,
    /// Twice the exponent of the ampere.
    pub a: i8,
}

impl Unit {
    /// No unit.
    pub const NONE: Unit = Unit { m: 0, kg: 0, s: 0, a: 0 };
    /// Seconds.
    pub const TIME: Unit = Unit { s: 2, ..Unit::NONE };
    /// Metres.
    pub const LENGTH: Unit = Unit { m: 2, ..Unit::NONE };
    /// Amperes.
    pub const CURRENT: Unit = Unit { a: 2, ..Unit::NONE };
    /// Volts.
    pub const VOLTAGE: Unit = Unit { m: 4, kg: 2, s: -6, a: -2 };
    /// Siemens.
    pub const CONDUCTANCE: Unit = Unit { m: -4, kg: -2, s: 6, a: 4 };
    /// Farads.
    pub const CAPACITANCE: Unit = Unit { m: -4, kg: -2, s: 8, a: 4 };
    /// Ohms.
    pub const RESISTANCE: Unit = Unit { m: 4, kg: 2, s: -6, a: -4 };
    /// Hertz.
    pub const RATE: Unit = Unit { s: -2, ..Unit::NONE };
    /// Coulombs.
    pub const CHARGE: Unit = Unit { s: 2, a: 2, ..Unit::NONE };
}

/// Names for annotations, with the SI symbol and the unit. `number` first.
pub const DIMENSIONS: &[(&str, &str, Unit)] = &[
    ("number", "", Unit::NONE),
    ("time", "s", Unit::TIME),
    ("length", "m", Unit::LENGTH),
    ("voltage", "V", Unit::VOLTAGE),
    ("current", "A", Unit::CURRENT),
    ("conductance", "S", Unit::CONDUCTANCE),
    ("capacitance", "F", Unit::CAPACITANCE),
    ("resistance", "Ohm", Unit::RESISTANCE),
    ("rate", "Hz", Unit::RATE),
    ("charge", "C", Unit::CHARGE),
];

/// Prefixes of units and their factors.
pub const PREFIXES: &[(&str, f64)] = &[
    ("f", 1e-15),
    ("p", 1e-12),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("c", 1e-2),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
];

// They may fail, so they are not the operators of the same names.
#[allow(clippy::should_implement_trait)]
impl Unit {
    /// The unit and the factor to SI of a name after a number: `mV` is `(voltage, 0.001)`, `%` is `(number, 0.01)`.
    /// `step` and `steps` are not here: their length is `dt`.
    pub fn from_unit_name(name: &str) -> Option<(Unit, f64)> {
        if name == "%" {
            return Some((Unit::NONE, 0.01));
        }
        if let Some(unit) = from_symbol(name) {
            return Some((unit, 1.0));
        }
        let (prefix, factor) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix))?;
        Some((from_symbol(&name[prefix.len()..])?, *factor))
    }

    /// The unit of an annotation: `voltage`, `number`.
    pub fn from_dimension_name(name: &str) -> Option<Unit> {
        DIMENSIONS.iter().find(|row| row.0 == name).map(|row| row.2)
    }

    /// The name for annotations, if it has one.
    pub fn dimension_name(self) -> Option<&'static str> {
        DIMENSIONS.iter().find(|row| row.2 == self).map(|row| row.0)
    }

    /// Names that may follow a number, for suggestions.
    pub fn unit_names() -> Vec<String> {
        let symbols = || DIMENSIONS.iter().map(|row| row.1).filter(|symbol| !symbol.is_empty());
        let mut names: Vec<String> = ["%", "step", "steps"].map(String::from).to_vec();
        names.extend(symbols().map(String::from));
        names.extend(PREFIXES.iter().flat_map(|(p, _)| symbols().map(move |s| format!("{p}{s}"))));
        names
    }

    /// Names for annotations, for suggestions.
    pub fn dimension_names() -> Vec<&'static str> {
        DIMENSIONS.iter().map(|row| row.0).collect()
    }

    /// Whether it is a plain number.
    pub fn is_none(self) -> bool {
        self == Unit::NONE
    }

    /// The unit of a product; none if an exponent is beyond all reason (over 63).
    pub fn mul(self, other: Unit) -> Option<Unit> {
        self.zip(other, i8::checked_add)
    }

    /// The unit of a quotient; none if an exponent is beyond all reason.
    pub fn div(self, other: Unit) -> Option<Unit> {
        self.zip(other, i8::checked_sub)
    }

    /// The unit of a whole power; none if an exponent is beyond all reason.
    pub fn powi(self, exponent: i32) -> Option<Unit> {
        let power = |e: i8| i8::try_from(i64::from(e) * i64::from(exponent)).ok();
        self.map(power)
    }

    /// The unit of a square root; none if that would be a quarter power of a base unit.
    pub fn sqrt(self) -> Option<Unit> {
        self.map(|e| (e % 2 == 0).then_some(e / 2))
    }

    /// The unit of a power with any exponent; none if that is not a whole multiple of half a base unit.
    pub fn pow(self, exponent: f64) -> Option<Unit> {
        self.map(|e| {
            let power = f64::from(e) * exponent;
            let whole = power.round();
            ((power - whole).abs() < 1e-9 && whole.abs() <= 127.0).then_some(whole as i8)
        })
    }

    /// `V`, `A·s^-1`: the shortest product of symbols of the language; empty for a plain number.
    pub fn symbol(self) -> String {
        if let Some(row) = DIMENSIONS.iter().find(|row| row.2 == self) {
            return row.1.to_string();
        }
        let mut best = self.factors();
        // A rate is written as a power of a second when it is not alone.
        for (_, symbol, unit) in DIMENSIONS[1..].iter().filter(|row| row.2 != Unit::RATE) {
            for power in [1, -1, 2, -2] {
                let rest = unit.powi(power).and_then(|u| self.div(u));
                let Some(rest) = rest else { continue };
                let mut factors = rest.factors();
                factors.insert(0, (symbol, f64::from(power)));
                let better = weight(&factors) < weight(&best);
                if better && factors[1..].iter().all(|f| f.0 != *symbol) {
                    best = factors;
                }
            }
        }
        best.sort_by_key(|factor| factor.1 < 0.0);
        let texts = best.into_iter().map(|(symbol, power)| match power {
            1.0 => symbol.to_string(),
            _ => format!("{symbol}^{power}"),
        });
        texts.collect::<Vec<_>>().join("·")
    }

    /// Powers of V, A, s and m: the language has no kilogram, and a volt has exactly one.
    fn factors(self) -> Vec<(&'static str, f64)> {
        let half = |e: i32| f64::from(e) / 2.0;
        let (m, kg) = (i32::from(self.m), i32::from(self.kg));
        let (s, a) = (i32::from(self.s), i32::from(self.a));
        let powers = [("V", half(kg)), ("A", half(a + kg)), ("s", half(s + 3 * kg)), ("m", half(m - 2 * kg))];
        powers.into_iter().filter(|(_, power)| *power != 0.0).collect()
    }

    fn map(self, f: impl Fn(i8) -> Option<i8>) -> Option<Unit> {
        Some(Unit { m: f(self.m)?, kg: f(self.kg)?, s: f(self.s)?, a: f(self.a)? })
    }

    fn zip(self, other: Unit, f: impl Fn(i8, i8) -> Option<i8>) -> Option<Unit> {
        Some(Unit {
            m: f(self.m, other.m)?,
            kg: f(self.kg, other.kg)?,
            s: f(self.s, other.s)?,
            a: f(self.a, other.a)?,
        })
    }
}

/// A number of SI units as people write it: `1.5 ms`, `-65 mV`, `0.2`.
pub fn quantity(value: f64, unit: Unit) -> String {
    let symbol = unit.symbol();
    if symbol.is_empty() {
        return rounded(value);
    }
    let scaled = |factor: f64| (value / factor).abs();
    let fits = |factor: &f64| (0.999_999_9..999.999_9).contains(&scaled(*factor));
    let is_named = unit.dimension_name().is_some();
    let prefix =
        PREFIXES.iter().chain(&[("", 1.0)]).find(|(p, factor)| is_named && *p != "c" && fits(factor));
    let (prefix, factor) = prefix.copied().unwrap_or(("", 1.0));
    format!("{} {prefix}{symbol}", rounded(value / factor))
}

/// At most six significant digits.
fn rounded(value: f64) -> String {
    let digits = format!("{value:.5e}").parse::<f64>().unwrap_or(value);
    super::print::number(digits)
}

/// Number of factors first, then how large and how negative their powers are.
fn weight(factors: &[(&str, f64)]) -> (usize, u32) {
    let one = |power: f64| (power.abs() * 4.0) as u32 + u32::from(power < 0.0);
    (factors.len(), factors.iter().map(|f| one(f.1)).sum())
}

fn from_symbol(symbol: &str) -> Option<Unit> {
    DIMENSIONS[1..].iter().find(|row| row.1 == symbol).map(|row| row.2)
}

/// `voltage (V)`, `number`; a unit without a name is its symbols: `V·s^-1`.
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dimension_name() {
            Some("number") => f.write_str("number"),
            Some(name) => write!(f, "{name} ({})", self.symbol()),
            None => f.write_str(&self.symbol()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn unit(name: &str) -> Unit {
        Unit::from_unit_name(name).unwrap_or_else(|| panic!("{name} is not a unit")).0
    }

    #[test]
    fn names_have_prefixes() {
        assert_eq!(Unit::from_unit_name("mV"), Some((Unit::VOLTAGE, 1e-3)));
        assert_eq!(Unit::from_unit_name("m"), Some((Unit::LENGTH, 1.0)));
        assert_eq!(Unit::from_unit_name("mm"), Some((Unit::LENGTH, 1e-3)));
        assert_eq!(Unit::from_unit_name("MOhm"), Some((Unit::RESISTANCE, 1e6)));
        assert_eq!(Unit::from_unit_name("%"), Some((Unit::NONE, 0.01)));
        for wrong in ["", "k", "mk", "volt", "mm%", "%m", "µs", "kkHz", "step", "number"] {
            assert_eq!(Unit::from_unit_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_suggested_name_is_a_unit() {
        for name in Unit::unit_names() {
            assert!(name.starts_with("step") || Unit::from_unit_name(&name).is_some(), "{name}");
        }
    }

    #[test]
    fn laws_of_physics_hold() {
        assert_eq!(unit("V").mul(unit("S")), Some(unit("A")));
        assert_eq!(unit("V").div(unit("A")), Some(unit("Ohm")));
        assert_eq!(unit("A").mul(unit("s")), Some(unit("C")));
        assert_eq!(unit("C").div(unit("V")), Some(unit("F")));
        assert_eq!(unit("Ohm").mul(unit("F")), Some(unit("s")));
        assert_eq!(unit("Hz").mul(unit("s")), Some(Unit::NONE));
    }

    #[test]
    fn powers_are_whole_or_half() {
        assert_eq!(unit("s").sqrt().and_then(|u| u.powi(2)), Some(unit("s")));
        assert_eq!(unit("s").sqrt().and_then(Unit::sqrt), None);
        assert_eq!(unit("V").pow(-0.5).and_then(|u| u.pow(-2.0)), Some(unit("V")));
        assert_eq!(unit("V").pow(0.3), None);
        assert_eq!(Unit::NONE.pow(0.3), Some(Unit::NONE));
        assert_eq!(unit("V").powi(100), None);
        assert_eq!(unit("V").powi(i32::MAX), None);
        assert_eq!(unit("V").pow(f64::NAN), None);
    }

    #[test]
    fn quantities_have_a_prefix_that_fits() {
        assert_eq!(quantity(1.5e-3, Unit::TIME), "1.5 ms");
        assert_eq!(quantity(0.1e-3, Unit::TIME), "100 us");
        assert_eq!(quantity(-0.065, Unit::VOLTAGE), "-65 mV");
        assert_eq!(quantity(1e-3 + 1e-12, Unit::TIME), "1 ms");
        assert_eq!(quantity(0.0, Unit::TIME), "0 s");
        assert_eq!(quantity(0.2, Unit::NONE), "0.2");
        assert_eq!(quantity(2.0, Unit::TIME), "2 s");
    }

    #[test]
    fn text_is_for_people() {
        let of = |a: &str, b: &str| unit(a).div(unit(b)).map(|u| u.to_string());
        assert_eq!(unit("mV").to_string(), "voltage (V)");
        assert_eq!(Unit::NONE.to_string(), "number");
        assert_eq!(of("A", "V").as_deref(), Some("conductance (S)"));
        assert_eq!(of("V", "s").as_deref(), Some("V·s^-1"));
        assert_eq!(of("A", "s").as_deref(), Some("A·s^-1"));
        assert_eq!(of("F", "m").as_deref(), Some("F·m^-1"));
        assert_eq!(unit("s").sqrt().map(|u| u.to_string()).as_deref(), Some("s^0.5"));
        assert_eq!(unit("V").powi(2).map(|u| u.to_string()).as_deref(), Some("V^2"));
    }
}
