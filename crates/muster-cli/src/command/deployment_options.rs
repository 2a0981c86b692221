//! What a deployment says beyond application, target and times: whether and when a program runs again, values, notices.

use crate::{CliError, output, when};
use clap::Args;
use muster_model::{
    application::Application,
    program::{DeploymentOptions, Rerun},
    schedule::{Recurrence, ScheduleToken},
    time::UnixMillis,
};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Of a program: whether it runs again when it is due again: never, always, if_failed, if_succeeded
    #[arg(long, value_parser = parse_rerun, default_value = "never")]
    rerun: Rerun,
    /// Of a program: it is due again every so often after its deadline: 30m, 12h, 7d
    #[arg(long, value_name = "LENGTH", value_parser = when::parse_length)]
    every: Option<i64>,
    /// Of a program: it is due again by this schedule, as JSON: {"start": 1795593600000, "every": {"kind": "weekly", "day": 1, "weeks": 1}}
    #[arg(long, value_name = "JSON")]
    schedule: Vec<String>,
    /// A value for a parameter of the application
    #[arg(long, value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Tell users of a device before, while and after something is done
    #[arg(long)]
    notices: bool,
}

fn parse_rerun(text: &str) -> Result<Rerun, String> {
    let known = Rerun::ALL.iter().copied().find(|rerun| rerun.as_str() == text);
    known.ok_or_else(|| format!("{text:?} is not one of never, always, if_failed, if_succeeded"))
}

impl Options {
    /// As the site is asked. `deadline`: from when on an interval counts.
    pub(super) fn request(
        self,
        application: &Application,
        deadline: UnixMillis,
    ) -> Result<DeploymentOptions, CliError> {
        let mut schedule = Vec::new();
        for text in &self.schedule {
            let token = serde_json::from_str(text);
            schedule.push(token.map_err(|error| CliError::Usage(format!("--schedule: {error}")))?);
        }
        if let Some(length) = self.every {
            let minutes = length / 60_000;
            let part = |number: i64| u8::try_from(number).unwrap_or(u8::MAX);
            let (days, hours, minutes) = (part(minutes / 1_440), part(minutes / 60 % 24), part(minutes % 60));
            schedule.push(ScheduleToken { start: deadline, every: Recurrence::Interval { days, hours, minutes } });
        }
        if !schedule.iter().all(ScheduleToken::is_sound) {
            return Err(CliError::Usage(
                "--every takes 1 minute to 31 days, and --schedule a schedule in its ranges".into(),
            ));
        }
        let pairs = self.parameter.iter().map(|pair| {
            pair.split_once('=').ok_or_else(|| CliError::Usage(format!("--parameter {pair:?} is not NAME=VALUE")))
        });
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        let parameters = application.read_values(&pairs).map_err(CliError::Usage)?;
        Ok(DeploymentOptions { rerun: self.rerun, schedule, parameters, notices: self.notices })
    }
}

/// For the person who looks or signs: each value too.
pub(super) fn described(options: &DeploymentOptions) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if !options.rerun.is_never() || !options.schedule.is_empty() {
        rows.push(("Runs again", options.rerun.as_str().to_owned()));
    }
    for token in &options.schedule {
        let every = serde_json::to_string(&token.every).unwrap_or_default();
        rows.push(("Is due again", format!("from {} on, {every}", when::full(token.start))));
    }
    for (name, value) in &options.parameters {
        rows.push(("Value", format!("{name} = {}", output::clean(&value.to_string()))));
    }
    if options.notices {
        rows.push(("Notices", "users are told before, while and after something is done".to_owned()));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use muster_model::application::{Parameter, ParameterKind, ParameterValue, ParameterWay};

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn asked(words: &[&str]) -> Result<DeploymentOptions, String> {
        let one = |name: &str, kind| Parameter {
            name: name.parse().unwrap(),
            kind,
            way: ParameterWay::Environment,
            default: None,
        };
        let application = serde_json::json!({
            "id": "0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "name": "x", "version": "1", "platform": "linux", "content": [],
            "install": {"program": "/x"}, "detection": {"kind": "program"}, "max_run_seconds": 1,
        });
        let mut application: Application = serde_json::from_value(application).unwrap();
        application.parameters =
            vec![one("port", ParameterKind::Integer { least: 1, most: 9 }), one("on", ParameterKind::Boolean)];
        let line = Line::try_parse_from([&["x"], words].concat()).map_err(|error| error.to_string())?;
        line.options.request(&application, UnixMillis(5)).map_err(|error| error.to_string())
    }

    #[test]
    fn words_become_what_the_site_is_asked() {
        let words =
            ["--rerun", "if_failed", "--every", "36h", "--parameter", "port=8", "--parameter", "on=true", "--notices"];
        let options = asked(&words).unwrap();
        let every = Recurrence::Interval { days: 1, hours: 12, minutes: 0 };
        assert_eq!((options.rerun, options.notices), (Rerun::IfFailed, true));
        assert_eq!(options.schedule, [ScheduleToken { start: UnixMillis(5), every }]);
        let values: Vec<_> = options.parameters.values().cloned().collect();
        assert_eq!(values, [ParameterValue::Boolean(true), ParameterValue::Integer(8)]);
        assert_eq!(asked(&[]).unwrap(), DeploymentOptions::default());
        // What is no value of its type is the site's to refuse, with its reason.
        assert_eq!(asked(&["--parameter", "port=x"]).unwrap().parameters.len(), 1);
        let weekly = r#"{"start": 7, "every": {"kind": "weekly", "day": 1, "weeks": 1}}"#;
        assert_eq!(asked(&["--schedule", weekly]).unwrap().schedule[0].start, UnixMillis(7));
        for bad in [
            &["--rerun", "often"][..],
            &["--every", "90d"],
            &["--schedule", "{}"],
            &["--parameter", "port"],
            &["--parameter", "port=1", "--parameter", "port=2"],
        ] {
            assert!(asked(bad).is_err(), "{bad:?}");
        }
    }
}
