//! Error codes: the table of all of them, with titles; the long texts are in `explain/`. No messages of a place.
//!
//! `E01` syntax, `E02` names, `E03` kinds, `E04` units, `E05` axes and shapes, `E06` dynamics and solvers, `E07` circuits and
//! signs, `E08` gradients and training, `E09` data and running; `W…` warnings in the same ranges. A code keeps its
//! meaning for ever; a code that is no longer used is not used again.

/// Makes the enum and its functions from the table.
macro_rules! codes {
    ($($code:ident $title:literal,)*) => {
        /// A kind of message.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];

            /// `"E0101"`
            pub fn name(self) -> &'static str {
                match self {
                    $(Code::$code => stringify!($code),)*
                }
            }

            /// What the code is about, in one line.
            pub fn title(self) -> &'static str {
                match self {
                    $(Code::$code => $title,)*
                }
            }

            /// What is wrong, why it is refused, a wrong example and a right one.
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Code::$code => include_str!(concat!("explain/", stringify!($code), ".txt")),)*
                }
            }
        }
    };
}

codes! {
    E0101 "unexpected text",
    E0102 "bracket that is not closed",
    E0103 "broken string",
    E0104 "comparisons do not chain",
    E0105 "nested too deep",
    E0106 "expression or declaration too long",
    E0107 "file too large",
    E0108 "character that is not part of the language",
    E0109 "part given twice",
    E0110 "number too large",
    E0111 "word that begins nothing",
    E0201 "unknown name",
    E0202 "name declared twice",
    E0203 "unknown module or name in `use`",
    E0204 "name used before its `let`",
    E0205 "unknown parameter",
    E0206 "no such parameter for -p",
    E0301 "wrong kind of thing",
    E0302 "assignment to something that is not a state",
    E0303 "missing argument",
    E0304 "too many arguments, or one given twice",
    E0305 "not a constant",
    E0306 "not a condition for `fire`",
    E0307 "`fired` without `fire`",
    E0308 "reset rule assigns what is not a state",
    E0309 "function not available here",
    E0310 "recursion",
    E0311 "not exactly one `emit`",
    E0312 "wrong number of gradients",
    E0313 "unknown setting",
    E0314 "surrogate without derivative",
    E0401 "units do not match",
    E0402 "a number without unit is wanted",
    E0403 "unknown unit",
    E0404 "exponent of a quantity must be constant",
    E0405 "argument of a surrogate has a unit",
    E0406 "not a positive time",
    E0501 "shapes do not fit",
    E0502 "not a size",
    E0503 "matrix and vector do not fit",
    E0504 "data and model differ in shape",
    E0505 "index out of range",
    E0506 "number of classes differs from number of outputs",
    E0507 "image and windows do not fit",
    E0601 "equation without `integrate`",
    E0602 "unknown solver",
    E0603 "`integrate exact` needs linear equations",
    E0604 "`exponential_euler` needs each equation to be linear in its own state",
    E0605 "`integrate` without equations",
    E0606 "two `fire` in a neuron",
    E0607 "`refractory` needs `fire` and a time that is not negative",
    E0608 "equation of something that is not a state",
    E0609 "assignment that is lost",
    E0610 "reduction over time inside of a step",
    E0611 "statistics over all steps inside of a recurrence",
    E0612 "equation that reads a normalised value",
    E0701 "excitatory population would send negative weights",
    E0702 "inhibitory population would send positive weights",
    E0703 "cycle without delay",
    E0704 "delay is not a whole number of steps",
    E0705 "unknown kind of projection",
    E0706 "target has no such input",
    E0707 "input driven twice",
    E0708 "sizes differ in `one_to_one`",
    E0709 "no output",
    E0710 "initial value breaks the constraint",
    E0711 "input of a circuit is missing",
    E0712 "initializer without values",
    E0801 "nothing to learn from this loss",
    E0802 "unknown gradient method",
    E0803 "window of `tbptt`",
    E0804 "model has nothing to learn",
    E0805 "loss has the wrong shape",
    E0806 "gradient check impossible",
    E0807 "optimizer assigns what is not its own",
    E0808 "augmentation that does not fit the images",
    E0901 "file cannot be read",
    E0902 "file is broken",
    E0903 "parts of the data disagree",
    E0904 "NaN or infinity in the data",
    E0905 "checkpoint does not fit the model",
    E0906 "file cannot be written",
    E0907 "training diverged",
    E0908 "not enough memory",
    E0909 "labels are wrong",
    E0910 "argument of a data source",
    E0911 "expectation failed",
    E0912 "job needs another job first",
    E0913 "interrupted",
    E0914 "memory does not suffice for the training",
    E0915 "list of a sweep",
    E0916 "diagnosis without an answer",
    W0201 "name is never used",
    W0601 "time step is large",
    W0701 "population receives nothing",
    W0702 "nobody reads this population",
    W0703 "initializer that undoes another",
    W0704 "first values depend on themselves",
    W0801 "spike without surrogate in a trained model",
    W0901 "no folder for output",
    W0902 "tensor is missing",
}

impl Code {
    /// The code of a name such as `E0101`, in any case.
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_found_by_name() {
        assert!(Code::ALL.windows(2).all(|w| w[0].name() < w[1].name()));
        for &code in Code::ALL {
            assert_eq!(Code::from_name(code.name()), Some(code));
        }
        assert_eq!(Code::from_name("e0101"), Some(Code::E0101));
        assert_eq!(Code::from_name("E9999"), None);
    }

    #[test]
    fn explanations_have_both_examples() {
        for &code in Code::ALL {
            let text = code.explanation();
            assert!(text.contains("\nWrong:\n    ") && text.contains("\nRight:\n    "), "{}", code.name());
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{}", code.name());
            assert!(!code.title().is_empty() && !code.title().ends_with('.'), "{}", code.name());
        }
    }
}
