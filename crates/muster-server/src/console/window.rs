//! Maintenance windows on the page of a collection: the form for a new one, and deleting one.

use super::{
    collection::{CollectionPage, RuleFields, is_of_form},
    confirm::ConfirmPage,
    shell::Done,
    visit::{Answer, Fields, Named, Visit, go_done},
};
use muster_model::{
    api::PageQuery,
    id::{CollectionId, WindowId},
    schedule::Recurrence,
    window::{MaintenanceWindow, WallTime, WindowKind},
};

/// The form of a new window. When it comes again is said by the day of its start.
#[derive(Debug, Default, Clone, serde::Deserialize)]
pub(crate) struct WindowFields {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) start: String,
    #[serde(default)]
    pub(crate) minutes: String,
    #[serde(default)]
    pub(crate) again: String,
    #[serde(default)]
    pub(crate) every: String,
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) utc: String,
}

impl WindowFields {
    fn parse(&self) -> Result<MaintenanceWindow, String> {
        let number = |text: &str, default: u32, what: &str| match text.trim() {
            "" => Ok(default),
            text => text.parse::<u32>().map_err(|_| format!("{what}: {text:?} is not a number.")),
        };
        let start: WallTime = self.start.trim().parse().map_err(|error| format!("Start: {error}."))?;
        let count = number(&self.every, 1, "Every")?;
        let count = u8::try_from(count).map_err(|_| "Every: the number is too large.".to_owned())?;
        let kind = match self.kind.as_str() {
            "" => WindowKind::General,
            text => text.parse().map_err(|error| format!("For: {error}."))?,
        };
        Ok(MaintenanceWindow {
            name: self.name.trim().parse().map_err(|error| format!("Name: {error}."))?,
            kind,
            start,
            every: again(&self.again, start, count)?,
            minutes: number(&self.minutes, 180, "Minutes")?,
            utc: !self.utc.is_empty(),
        })
    }
}

fn again(text: &str, start: WallTime, count: u8) -> Result<Recurrence, String> {
    let (day, months) = (start.day(), count);
    Ok(match text {
        "" | "once" => Recurrence::Once,
        "daily" => Recurrence::Interval { days: count, hours: 0, minutes: 0 },
        "weekly" => Recurrence::Weekly { day: start.weekday(), weeks: count },
        "date" => Recurrence::MonthlyByDate { day, months },
        "last" => Recurrence::MonthlyByDate { day: 0, months },
        // The fifth of a month is its last.
        "weekday" => {
            let week = if day > 28 { 0 } else { (day - 1) / 7 + 1 };
            Recurrence::MonthlyByWeekday { day: start.weekday(), week, months, offset: 0 }
        }
        _ => return Err("Choose when it comes again.".to_owned()),
    })
}

/// `POST /collections/{id}/windows`
pub(crate) async fn window_add(
    visit: Visit,
    Named(id): Named<CollectionId>,
    Fields(fields): Fields<WindowFields>,
) -> Answer {
    let problem = match fields.parse() {
        Ok(window) => match muster_site::collection_window_add(&visit.ctx, visit.site(), id, &window).await {
            Ok(_) => return Ok(go_done(&format!("/collections/{id}"), Done::WindowSaved)),
            Err(error) if is_of_form(&error) => error.problem().detail,
            Err(error) => return Err(visit.refuse(error)),
        },
        Err(problem) => problem,
    };
    let page =
        CollectionPage::read(&visit, id, PageQuery::default(), None, Some(problem), RuleFields::default(), fields)
            .await?;
    visit.page(&page)
}

/// `GET /collections/{id}/windows/{window}/delete`
pub(crate) async fn delete_confirm(visit: Visit, Named((id, number)): Named<(CollectionId, WindowId)>) -> Answer {
    let windows = visit.ask(muster_site::collection_window_list(&visit.ctx, visit.site(), id).await)?;
    let window = windows.into_iter().find(|window| window.id == number);
    let window = window.ok_or_else(|| visit.refuse(crate::http::respond::Refusal::not_found()))?;
    visit.page(&ConfirmPage {
        shell: visit.shell("collections").await?,
        title: "Delete maintenance window".to_owned(),
        object: window.window.name.to_string(),
        consequences: vec![
            format!("It opens {}.", window.sentence),
            "Members that have no other window may be worked on at any time, and start at once what they wait for."
                .to_owned(),
        ],
        reason: false,
        action: format!("/collections/{id}/windows/{number}/delete"),
        button: "Delete window".to_owned(),
        danger: true,
        back: format!("/collections/{id}"),
        hidden: vec![],
    })
}

/// `POST /collections/{id}/windows/{window}/delete`
pub(crate) async fn window_delete(visit: Visit, Named((id, number)): Named<(CollectionId, WindowId)>) -> Answer {
    visit.ask(muster_site::collection_window_delete(&visit.ctx, visit.site(), id, number).await)?;
    Ok(go_done(&format!("/collections/{id}"), Done::WindowDeleted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_a_window_by_the_day_of_its_start() {
        let form = |again: &str, start: &str| WindowFields {
            name: "Night".to_owned(),
            start: start.to_owned(),
            again: again.to_owned(),
            every: "2".to_owned(),
            ..WindowFields::default()
        };
        // 2026-12-08 is the second Tuesday of its month, 2026-12-29 the last.
        let tuesday = "2026-12-08T01:00";
        let every = |again: &str, start: &str| form(again, start).parse().map(|window| window.every);
        let weekday = |week| Recurrence::MonthlyByWeekday { day: 3, week, months: 2, offset: 0 };
        assert_eq!(every("", tuesday), Ok(Recurrence::Once));
        assert_eq!(every("daily", tuesday), Ok(Recurrence::Interval { days: 2, hours: 0, minutes: 0 }));
        assert_eq!(every("weekly", tuesday), Ok(Recurrence::Weekly { day: 3, weeks: 2 }));
        assert_eq!(every("date", tuesday), Ok(Recurrence::MonthlyByDate { day: 8, months: 2 }));
        assert_eq!(every("last", tuesday), Ok(Recurrence::MonthlyByDate { day: 0, months: 2 }));
        assert_eq!(every("weekday", tuesday), Ok(weekday(2)));
        assert_eq!(every("weekday", "2026-12-29T01:00"), Ok(weekday(0)));
        assert_eq!(form("daily", tuesday).parse().unwrap().minutes, 180);
        assert!(every("daily", "tomorrow").unwrap_err().starts_with("Start:"));
        assert!(every("sometimes", tuesday).is_err());
    }
}
