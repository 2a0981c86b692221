//! Whether a machine is restarted now. Pure: clock, windows and users come from whoever asks.
//!
//! A restart that is needed is said first, then counted down where somebody works at the machine, and made where a maintenance window
//! has room for the countdown and five minutes more. The countdown is measured by a clock that nobody can set.

use crate::{
    settings::RestartSettings,
    status::WaitReason,
    time::{MINUTE, SECOND, UnixMillis},
    window::Chance,
};
use serde::{Deserialize, Serialize};

/// How long the system may take to go down before it is asked once more, in milliseconds.
pub const PATIENCE: i64 = 10 * MINUTE;
/// How often it is asked in one run of the system.
pub const TRIES: u32 = 3;

/// A restart that was begun. It is kept before the system is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// The run of the system that has to end.
    pub boot: String,
    /// When the system was first asked.
    pub at: UnixMillis,
    /// How often it was asked.
    pub tries: u32,
    /// For what.
    pub reasons: String,
    /// It was given up in this run of the system.
    #[serde(default)]
    pub failed: bool,
}

impl Begun {
    /// Whether another run of the system proves it. A system that does not say which run it is proves nothing.
    #[must_use]
    pub fn is_proven(&self, boot: &str) -> bool {
        !boot.is_empty() && self.boot != boot
    }

    /// With one more try.
    #[must_use]
    pub fn again(self) -> Self {
        Self { tries: self.tries.saturating_add(1), ..self }
    }
}

/// What is known when it is decided.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The time.
    pub now: UnixMillis,
    /// Names this run of the system.
    pub boot: &'a str,
    /// Since when a deployment needs a restart; `None`: none does.
    pub since: Option<UnixMillis>,
    /// What the site wants of restarts.
    pub settings: RestartSettings,
    /// Whether somebody works at the machine.
    pub users: bool,
    /// How long the countdown has been shown, in milliseconds of a clock that only goes forward.
    pub counted: Option<i64>,
    /// A user of the machine wants it now.
    pub wanted: bool,
    /// The restart that was begun, with how long this agent has waited for it since, in milliseconds of the same clock.
    pub begun: Option<(&'a Begun, i64)>,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// No deployment needs a restart.
    Nothing,
    /// The settings forbid that the client makes one.
    Forbidden,
    /// The system does not say which run of it this is: a restart could not be proven, and might be made again and again.
    Unprovable,
    /// It is said, and counted down from then on.
    Notice {
        /// When the countdown begins, as it is known now.
        countdown: UnixMillis,
    },
    /// Its time has come, and no window is open that has room for it.
    Waits {
        /// For what.
        reason: WaitReason,
        /// When the window opens, where that is known.
        opens: Option<UnixMillis>,
    },
    /// It is counted down.
    Countdown {
        /// Milliseconds that are left.
        left: i64,
    },
    /// The system is asked now.
    Restart,
    /// The system was asked and goes down.
    Underway,
    /// It was asked often enough and still runs.
    GivenUp,
}

/// Decides. `chance` says when something that takes so many seconds may begin, at a moment or later; `None`: the clock is not believed.
pub fn decide(on: &Situation<'_>, chance: impl Fn(UnixMillis, u32) -> Option<Chance>) -> Decision {
    if let Some((begun, waited)) = on.begun.filter(|(begun, _)| begun.boot == on.boot) {
        if begun.failed {
            return Decision::GivenUp;
        }
        if waited < PATIENCE {
            return Decision::Underway;
        }
        if begun.tries >= TRIES {
            return Decision::GivenUp;
        }
    }
    let Some(since) = on.since else { return Decision::Nothing };
    if !on.settings.allowed {
        return Decision::Forbidden;
    }
    if on.boot.is_empty() {
        return Decision::Unprovable;
    }
    if on.wanted {
        return Decision::Restart;
    }
    // Where nobody is, nobody is told.
    let minutes = |minutes: u32| if on.users { i64::from(minutes) * MINUTE } else { 0 };
    let notice = minutes(on.settings.notice_minutes);
    let countdown = minutes(on.settings.countdown_minutes).min(notice);
    // A clock that was set back does not put it off for longer than a notice.
    let begins = since.min(on.now).plus(notice - countdown);
    let left = (countdown - on.counted.unwrap_or(0)).max(0);
    let from = if on.counted.is_some() { on.now } else { begins.max(on.now) };
    match chance(from, u32::try_from(left / SECOND).unwrap_or(u32::MAX)) {
        None => Decision::Waits { reason: WaitReason::Clock, opens: None },
        Some(Chance::Never) => Decision::Waits { reason: WaitReason::NeverFits, opens: None },
        Some(Chance::Later { opens, .. }) if from <= on.now => {
            Decision::Waits { reason: WaitReason::Window, opens: Some(opens) }
        }
        Some(Chance::Later { opens, .. }) => Decision::Notice { countdown: opens },
        Some(Chance::Free | Chance::Now { .. }) if from > on.now => Decision::Notice { countdown: from },
        Some(Chance::Free | Chance::Now { .. }) if left > 0 => Decision::Countdown { left },
        Some(Chance::Free | Chance::Now { .. }) => Decision::Restart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::HOUR;

    const T: UnixMillis = UnixMillis(1_800_000_000_000);

    fn at(minutes: i64) -> Situation<'static> {
        Situation {
            now: T.plus(minutes * MINUTE),
            boot: "first",
            since: Some(T),
            settings: RestartSettings::default(),
            users: true,
            counted: None,
            wanted: false,
            begun: None,
        }
    }

    fn free(_: UnixMillis, _: u32) -> Option<Chance> {
        Some(Chance::Free)
    }

    #[test]
    fn a_restart_is_said_counted_down_and_made() {
        assert_eq!(decide(&at(0), free), Decision::Notice { countdown: T.plus(75 * MINUTE) });
        assert_eq!(decide(&at(75), free), Decision::Countdown { left: 15 * MINUTE });
        let counted = |millis| Situation { counted: Some(millis), ..at(75) };
        assert_eq!(decide(&counted(5 * MINUTE), free), Decision::Countdown { left: 10 * MINUTE });
        assert_eq!(decide(&counted(15 * MINUTE), free), Decision::Restart);
        assert_eq!(decide(&Situation { since: None, ..at(0) }, free), Decision::Nothing);
        assert_eq!(decide(&Situation { wanted: true, ..at(0) }, free), Decision::Restart);
        assert_eq!(decide(&Situation { users: false, ..at(0) }, free), Decision::Restart, "nobody is told");
        assert_eq!(decide(&Situation { boot: "", ..at(90) }, free), Decision::Unprovable);
        let settings = RestartSettings { allowed: false, ..RestartSettings::default() };
        assert_eq!(decide(&Situation { settings, wanted: true, ..at(90) }, free), Decision::Forbidden);
        // A countdown that is longer than the notice is as long as that.
        let settings = RestartSettings { notice_minutes: 2, countdown_minutes: 9, ..RestartSettings::default() };
        assert_eq!(decide(&Situation { settings, ..at(0) }, free), Decision::Countdown { left: 2 * MINUTE });
    }

    #[test]
    fn a_clock_that_jumps_neither_restarts_at_once_nor_puts_it_off_for_ever() {
        // Years later the countdown begins, and is as long as ever.
        assert_eq!(decide(&at(9_999_999), free), Decision::Countdown { left: 15 * MINUTE });
        let back = at(-9_999_999);
        assert_eq!(decide(&back, free), Decision::Notice { countdown: back.now.plus(75 * MINUTE) });
        assert_eq!(
            decide(&at(90), |_, _| None),
            Decision::Waits { reason: WaitReason::Clock, opens: None },
            "no window opens by a clock that is not believed"
        );
    }

    #[test]
    fn it_is_asked_three_times_and_never_again_in_that_run() {
        let mut begun = Begun { boot: "first".into(), at: T, tries: 1, reasons: "x".into(), failed: false };
        let asked =
            |begun: &Begun, waited| decide(&Situation { users: false, begun: Some((begun, waited)), ..at(0) }, free);
        for _ in 1..TRIES {
            assert_eq!(asked(&begun, PATIENCE - 1), Decision::Underway);
            assert_eq!(asked(&begun, PATIENCE), Decision::Restart);
            begun = begun.again();
        }
        assert_eq!(asked(&begun, PATIENCE), Decision::GivenUp);
        begun.failed = true;
        assert_eq!(asked(&begun, 0), Decision::GivenUp);
        assert!(begun.is_proven("second") && !begun.is_proven("first") && !begun.is_proven(""));
        let other = Begun { boot: "earlier".into(), ..begun };
        assert_eq!(asked(&other, 0), Decision::Restart, "what was given up in another run does not hold");
    }

    /// Minute by minute through ten days with a window each night: every restart lies in a window with five minutes left, whatever the
    /// lengths, and there is one where a window has room.
    #[test]
    fn no_restart_lies_outside_of_a_window() {
        let (opens, length) = (2 * HOUR, HOUR);
        let chance = |from: UnixMillis, seconds: u32| {
            let needed = i64::from(seconds) * SECOND + 5 * MINUTE;
            if needed > length {
                return Some(Chance::Never);
            }
            let day = from.0.div_euclid(24 * HOUR) * 24 * HOUR;
            (0..2).map(|n| UnixMillis(day + n * 24 * HOUR + opens)).find_map(|open| {
                let closes = open.plus(length);
                let fits = closes.since(from.max(open)) >= needed;
                fits.then_some(if open <= from {
                    Chance::Now { closes }
                } else {
                    Chance::Later { opens: open, closes }
                })
            })
        };
        for (notice, countdown, users) in
            [(1, 1, true), (90, 15, true), (600, 55, true), (90, 56, true), (90, 15, false)]
        {
            let settings =
                RestartSettings { notice_minutes: notice, countdown_minutes: countdown, ..RestartSettings::default() };
            let (mut counted, mut made) = (None, None);
            for minute in 0..14_400 {
                let on = Situation {
                    settings,
                    users,
                    counted: counted.map(|from: i64| (minute - from) * MINUTE),
                    ..at(minute)
                };
                match decide(&on, chance) {
                    Decision::Countdown { .. } => counted = counted.or(Some(minute)),
                    Decision::Restart => {
                        made = Some((on.now.0.rem_euclid(24 * HOUR), counted.map(|from| minute - from)));
                        break;
                    }
                    _ => counted = None,
                }
            }
            if users && countdown == 56 {
                assert_eq!(made, None, "it never fits");
                continue;
            }
            let (at, shown) = made.unwrap();
            assert!((opens..=opens + length - 5 * MINUTE).contains(&at), "{notice} {countdown} {at}");
            assert_eq!(shown, users.then_some(i64::from(countdown)));
        }
    }
}
