//! The Unified Write Filter of Windows, by its own program `uwfmgr.exe`. What is asked and how the answer is read is here and tested on every
//! system; it was never run on Windows. The filter changes with a restart only, and its servicing mode is Windows' own.

use crate::os::write_filter::FilterState;

/// The program; it is started by its whole path.
pub const PROGRAM: &str = r"C:\Windows\System32\uwfmgr.exe";

/// What is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// How the filter stands, now and after the next restart.
    State,
    /// The filter is on after the next restart.
    Enable,
    /// It is off after the next restart.
    Disable,
    /// A restart that closes everything.
    Restart,
}

impl Ask {
    /// The arguments of the program.
    #[must_use]
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::State => &["get-config"],
            Self::Enable => &["filter", "enable"],
            Self::Disable => &["filter", "disable"],
            Self::Restart => &["filter", "restart"],
        }
    }
}

/// Reads the answer to [`Ask::State`]: the state now, and after the next restart. `None`: it is not such an answer.
#[must_use]
pub fn read(answer: &str) -> Option<[FilterState; 2]> {
    let states = answer.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        if !name.trim().eq_ignore_ascii_case("filter state") {
            return None;
        }
        match value.trim().to_ascii_uppercase().as_str() {
            "ON" => Some(FilterState::On),
            "OFF" => Some(FilterState::Off),
            _ => None,
        }
    });
    let states: Vec<_> = states.take(3).collect();
    <[FilterState; 2]>::try_from(states).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_two_states() {
        let answer = "Current Session Settings\r\n\r\nFILTER SETTINGS\r\n    Filter state:     ON\r\n    Pending commit:   N/A\r\n\r\n\
                      Next Session Settings\r\n\r\nFILTER SETTINGS\r\n    Filter state:     OFF\r\n";
        assert_eq!(read(answer), Some([FilterState::On, FilterState::Off]));
        for other in ["", "Filter state: ON", "Filter state: MAYBE\nFilter state: ON"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(Ask::Disable.arguments(), ["filter", "disable"]);
    }
}
