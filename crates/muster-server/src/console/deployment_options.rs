//! The part of the form for a deployment that is about programs, values and notices.

use muster_model::{
    application::Application,
    program::{DeploymentOptions, Rerun},
    schedule::{Recurrence, ScheduleToken},
    time::UnixMillis,
};

/// As it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OptionsForm {
    /// Whether a program runs again; empty: never.
    pub(crate) rerun: String,
    /// Hours after which a program is due again; empty: not again.
    pub(crate) every_hours: String,
    /// Values, `name=value`, one on each line.
    pub(crate) parameters: String,
    /// Whether users are told.
    pub(crate) notices: bool,
}

impl OptionsForm {
    /// Whether this rule is chosen.
    pub(crate) fn is_rerun(&self, rerun: &Rerun) -> bool {
        self.rerun == rerun.as_str() || (self.rerun.is_empty() && rerun.is_never())
    }

    /// What the form asks for, or what is wrong with it.
    pub(crate) fn options(&self, application: &Application, deadline: UnixMillis) -> Result<DeploymentOptions, String> {
        let known = Rerun::ALL.iter().copied().find(|rerun| self.is_rerun(rerun));
        let rerun = known.ok_or("There is no such rule for running again.")?;
        let schedule = match self.every_hours.trim() {
            "" => Vec::new(),
            text => {
                let hours = text.parse::<u16>().ok().filter(|hours| (1..=744).contains(hours));
                let hours = hours.ok_or("A program is due again after 1 to 744 hours.")?;
                let part = |number: u16| u8::try_from(number).unwrap_or(u8::MAX);
                let every = Recurrence::Interval { days: part(hours / 24), hours: part(hours % 24), minutes: 0 };
                vec![ScheduleToken { start: deadline, every }]
            }
        };
        let lines = self.parameters.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let pairs = lines.map(|line| line.split_once('=').ok_or_else(|| format!("{line:?} is not name=value.")));
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        let parameters = application.read_values(&pairs)?;
        Ok(DeploymentOptions { rerun, schedule, parameters, notices: self.notices })
    }
}

/// What a deployment says, in words.
pub(crate) fn rows(options: &DeploymentOptions) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if !options.rerun.is_never() || !options.schedule.is_empty() {
        let again = match options.rerun {
            Rerun::Never => "never",
            Rerun::Always => "always",
            Rerun::IfFailed => "where it failed",
            Rerun::IfSucceeded => "where it succeeded",
        };
        rows.push(("Runs again".to_owned(), format!("{again}, by {} schedule(s)", options.schedule.len())));
    }
    for (name, value) in &options.parameters {
        rows.push((format!("Value of {name}"), value.to_string()));
    }
    if options.notices {
        rows.push(("Notices".to_owned(), "users are told before, while and after".to_owned()));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_model::application::ParameterValue;

    #[test]
    fn what_is_typed_becomes_options_or_a_sentence() {
        let application = serde_json::json!({
            "id": "0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "name": "x", "version": "1", "platform": "linux", "content": [],
            "install": {"program": "/x"}, "detection": {"kind": "program"}, "max_run_seconds": 1,
            "parameters": [{"name": "port", "type": {"kind": "integer", "least": 1, "most": 9}}],
        });
        let application: Application = serde_json::from_value(application).unwrap();
        let form = OptionsForm {
            rerun: "always".into(),
            every_hours: "36".into(),
            parameters: "port=8\r\n\r\n".into(),
            notices: true,
        };
        let options = form.options(&application, UnixMillis(5)).unwrap();
        assert_eq!((options.rerun, options.schedule[0].start, options.notices), (Rerun::Always, UnixMillis(5), true));
        assert_eq!(options.parameters.values().next(), Some(&ParameterValue::Integer(8)));
        assert_eq!(rows(&options).len(), 3);
        let empty = OptionsForm::default();
        assert!(empty.options(&application, UnixMillis(5)).unwrap().is_none() && empty.is_rerun(&Rerun::Never));
        for bad in [
            OptionsForm { rerun: "often".into(), ..OptionsForm::default() },
            OptionsForm { every_hours: "745".into(), ..OptionsForm::default() },
            OptionsForm { parameters: "port".into(), ..OptionsForm::default() },
        ] {
            assert!(bad.options(&application, UnixMillis(5)).is_err(), "{bad:?}");
        }
    }
}
