//! Rules as people read them.

use super::{Rule, Setting};

impl Rule {
    /// What has to hold.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exists { exists: true } => "is there".to_owned(),
            Self::Exists { exists: false } => "is not there".to_owned(),
            Self::Equals { value } => format!("is {value}"),
            Self::Not { value } => format!("is not {value}"),
            Self::OneOf { values } => format!("is one of {}", values.join(", ")),
            Self::Contains { value } => format!("has {value}"),
            Self::Between { least, most } => format!("is from {least} to {most}"),
            Self::Greater { than } => format!("is more than {than}"),
            Self::Less { than } => format!("is less than {than}"),
            Self::Matches { pattern } => format!("is like {pattern}"),
        }
    }
}

impl Setting {
    /// All that has to hold.
    #[must_use]
    pub fn expected(&self) -> String {
        self.rules.iter().map(Rule::words).collect::<Vec<_>>().join("; ")
    }
}
