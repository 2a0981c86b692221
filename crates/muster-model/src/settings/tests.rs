//! The catalogue against the type, what comes of several objects, and that no body makes a client leave its bounds.

use super::*;
use crate::time::MINUTE;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

// proves P1: each setting says what is collected by it, where anything is.
#[test]
fn the_catalogue_and_the_type_say_the_same() {
    let defaults = ClientSettings::default();
    let values = SettingValues::of(&defaults);
    for setting in CATALOGUE {
        setting.check(&values.0[setting.name]).unwrap();
        setting.allowed(&values.0[setting.name], Reach::Everyone).unwrap();
        assert_eq!(CATALOGUE.iter().filter(|other| other.name == setting.name).count(), 1, "{}", setting.name);
        let collects =
            ["policy_poll", "heartbeat", "inventory_enabled", "software", "update_scan_enabled", "health.mode"]
                .contains(&setting.name);
        assert_eq!(setting.privacy.is_some(), collects, "{}", setting.name);
        assert!(setting.about.ends_with('.') && setting.privacy.is_none_or(|note| note.ends_with('.')));
        if !matches!(setting.kind, Kind::Files) {
            let typed = setting.typed(&values.0[setting.name]);
            assert_eq!(setting.parse(&typed).as_ref(), Ok(&values.0[setting.name]), "{} {typed}", setting.name);
        }
    }
    // A field that is not in the catalogue would be in no object and no body.
    let whole = serde_json::to_value(full()).unwrap();
    let mut names = Vec::new();
    for (name, value) in whole.as_object().unwrap() {
        match value.as_object().filter(|_| matches!(name.as_str(), "restart" | "servicing" | "health")) {
            Some(fields) => names.extend(fields.keys().map(|field| format!("{name}.{field}"))),
            None => names.push(name.clone()),
        }
    }
    names.sort_unstable();
    let mut known: Vec<_> = CATALOGUE.iter().map(|setting| setting.name.to_owned()).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    assert_eq!(SettingValues::of(&full()).settings(), Some(full()));
}

/// Settings of which each may be absent and is not.
fn full() -> ClientSettings {
    let scan = json!({"paths": [{"path": "/opt", "names": ["*.jar"]}]});
    ClientSettings {
        software: Some(serde_json::from_value(scan).unwrap()),
        cache_percent: Some(10),
        content_rate: Some(1 << 20),
        content_hours: Some("22:00-06:00".parse().unwrap()),
        business_hours: Some("mon-fri 08:00-18:00".parse().unwrap()),
        ..ClientSettings::default()
    }
}

#[test]
fn values_are_read_as_people_write_them() {
    let parsed = |name: &str, text: &str| setting(name).unwrap().parse(text);
    assert_eq!(parsed("policy_poll", "30m"), Ok(json!(30 * MINUTE)));
    assert_eq!(parsed("policy_poll", "2 hours"), Ok(json!(120 * MINUTE)));
    assert_eq!(parsed("deadline_spread", "none"), Ok(json!(0)));
    assert_eq!(parsed("business_hours", "Fri,mon,tue 08:00-18:00"), Ok(json!("mon-tue,fri 08:00-18:00")));
    assert_eq!(parsed("business_hours", "none"), Ok(Value::Null));
    assert_eq!(parsed("cache_bytes", "2 GiB"), Ok(json!(2_i64 << 30)));
    assert_eq!(parsed("content_rate", "512KiB/s"), Ok(json!(512 << 10)));
    assert_eq!(parsed("content_rate", "none"), Ok(Value::Null));
    assert_eq!(parsed("inventory_enabled", "off"), Ok(json!(false)));
    assert_eq!(parsed("script_policy", "restricted"), Ok(json!("restricted")));
    let wrong = [
        ("policy_poll", "30"),
        ("policy_poll", "10 s"),
        ("policy_poll", "none"),
        ("cache_bytes", "9999999999999999 TiB"),
        ("content_hours", "08:00-08:00"),
        ("content_hours", "8-18"),
        ("content_hours", "08:00-24:00"),
        ("script_policy", "Bypass"),
        ("software", "{}"),
    ];
    for (name, text) in wrong {
        assert!(parsed(name, text).unwrap_err().contains(name), "{name} {text}");
    }
}

#[test]
fn hours_of_a_day_may_go_past_midnight() {
    let night: DayHours = "22:00-06:00".parse().unwrap();
    assert!(night.contains(22 * 60) && night.contains(0) && night.contains(359));
    assert!(!night.contains(360) && !night.contains(12 * 60));
    let day: DayHours = "08:00-18:00".parse().unwrap();
    assert!(day.contains(480) && !day.contains(18 * 60) && !day.contains(0));
    assert_eq!(night.to_string(), "22:00-06:00");
}

// proves S18 S19
#[test]
fn dangerous_values_hold_only_by_the_way_that_they_need() {
    let says = |name: &str, value: &str| SettingValues([(name.to_owned(), json!(value))].into());
    let bypass = says("script_policy", "bypass");
    let by = |values: &SettingValues, reach| {
        let layer = Layer { priority: 1, source: 1, reach, values };
        client_settings(&resultant(&[layer]))
    };
    for reach in [Reach::Everyone, Reach::Named] {
        assert!(bypass.check(reach).is_err());
        assert_eq!(by(&bypass, reach).script_policy, ScriptPolicy::AllSigned, "{reach:?}");
    }
    bypass.check(Reach::Protected).unwrap();
    assert_eq!(by(&bypass, Reach::Protected).script_policy, ScriptPolicy::Bypass);
    let serviced = SettingValues([("servicing.allowed".to_owned(), json!(true))].into());
    assert!(serviced.check(Reach::Everyone).is_err() && !by(&serviced, Reach::Everyone).servicing.allowed);
    assert!(serviced.check(Reach::Named).is_ok() && by(&serviced, Reach::Named).servicing.allowed);
    assert_eq!(ScriptPolicy::Bypass.on_client(false), ScriptPolicy::AllSigned, "whatever a site says");
    assert_eq!(ScriptPolicy::Bypass.on_client(true), ScriptPolicy::Bypass);
    assert_eq!(ScriptPolicy::Restricted.on_client(true), ScriptPolicy::Restricted);
}

#[test]
fn a_setting_that_was_taken_away_costs_nothing_else() {
    let kept =
        SettingValues([("suspend_pin".to_owned(), json!("always")), ("inventory".to_owned(), json!(HOUR))].into());
    assert_eq!(kept.upgraded().0.keys().collect::<Vec<_>>(), ["inventory"]);
    let (settings, unknown) = ClientSettings::from_body(br#"{"inventory":3600000,"suspend_pin":"always"}"#).unwrap();
    assert_eq!((settings.inventory, unknown), (HOUR, vec!["suspend_pin".to_owned()]));
}

#[test]
fn a_body_says_what_is_not_by_default_and_an_unknown_name_is_passed_over() {
    let body = ClientSettings::default().to_body();
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"heartbeat":604800000,"inventory":604800000,"policy_poll":3600000}"#
    );
    let read = |text: &str| ClientSettings::from_body(text.as_bytes());
    let (settings, unknown) =
        read(r#"{"policy_poll": 1, "sofware": 3, "restart": {"allowed": false, "now": 1}}"#).unwrap();
    assert_eq!((settings.policy_poll, settings.restart.allowed), (MINUTE, false));
    assert_eq!(unknown, ["restart.now", "sofware"]);
    for wrong in
        [r#"{"policy_poll": "often"}"#, r#"{"script_policy": "none"}"#, r#"{"inventory_enabled": 1}"#, "[]", ""]
    {
        assert!(read(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn devices_draw_for_themselves_and_stay_with_it() {
    let device = |n: u128| crate::id::DeviceId(Uuid::from_u128(n));
    let deployment = crate::id::DeploymentId(Uuid::from_u128(7));
    let drawn: Vec<_> = (0..1_000).map(|n| drawn(1_000, device(n), deployment)).collect();
    assert_eq!(drawn, (0..1_000).map(|n| super::drawn(1_000, device(n), deployment)).collect::<Vec<_>>());
    assert!(drawn.iter().all(|drawn| (0..1_000).contains(drawn)));
    let early = drawn.iter().filter(|drawn| **drawn < 500).count();
    assert!((350..650).contains(&early), "{early} of 1,000 are in the first half");
    assert_eq!(super::drawn(0, device(1), deployment), 0);
    assert_eq!(super::drawn(-5, device(1), deployment), 0);
}

/// A value of any kind, for any setting: sound, out of its range, or something else.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_i64..10_000_000_000).prop_map(Value::from),
        prop::sample::select(vec!["never", "always", "restricted", "all_signed", "bypass", "22:00-06:00", "x"])
            .prop_map(Value::from),
        Just(Value::Null),
        Just(json!({"paths": [{"path": "/opt", "names": ["*"]}]})),
        Just(json!({"paths": [{"path": "/opt", "names": ["*"]}], "seconds": 4_000_000_000_u32})),
        Just(json!(1.5)),
    ]
}

fn values() -> impl Strategy<Value = SettingValues> {
    let name = prop::sample::select(CATALOGUE.iter().map(|setting| setting.name.to_owned()).collect::<Vec<_>>());
    prop::collection::btree_map(name, value(), 0..8).prop_map(SettingValues)
}

fn reach() -> impl Strategy<Value = Reach> {
    prop::sample::select(vec![Reach::Everyone, Reach::Named, Reach::Protected])
}

/// Everything of it is what the catalogue takes.
fn assert_in_bounds(settings: &ClientSettings) {
    for (name, value) in SettingValues::of(settings).0 {
        setting(&name).unwrap().check(&value).unwrap();
    }
}

proptest! {
    /// Against a second, naive calculation; whatever the order in which the objects stand.
    #[test]
    fn the_lowest_priority_that_says_a_value_wins(
        objects in prop::collection::vec((values(), reach()), 0..6),
        order in any::<prop::sample::Index>(),
    ) {
        let sorted: Vec<Layer<'_, usize>> = objects.iter().enumerate().map(|(at, (values, reach))| {
            Layer { priority: u32::try_from(at).unwrap(), source: at, reach: *reach, values }
        }).collect();
        let mut turned = sorted.clone();
        turned.rotate_left(order.index(sorted.len().max(1)));
        turned.reverse();
        let decided = resultant(&sorted);
        prop_assert_eq!(&resultant(&turned), &decided);
        let defaults = SettingValues::of(&ClientSettings::default());
        for decided in &decided {
            let mut expected = (defaults.0[decided.setting.name].clone(), None);
            for (at, (values, reach)) in objects.iter().enumerate().rev() {
                if let Some(value) = values.0.get(decided.setting.name)
                    && decided.setting.check(value).is_ok()
                    && decided.setting.allowed(value, *reach).is_ok()
                {
                    expected = (value.clone(), Some(at));
                }
            }
            prop_assert_eq!(&(decided.value.clone(), decided.source), &expected);
        }
        let settings = client_settings(&decided);
        assert_in_bounds(&settings);
        let (read, unknown) = ClientSettings::from_body(&settings.to_body()).unwrap();
        prop_assert_eq!(read, settings);
        prop_assert!(unknown.is_empty());
    }

    /// A site that is taken over says anything.
    #[test]
    fn no_body_makes_a_client_leave_its_bounds(values in values(), extra in "[a-z.]{1,12}", other in value()) {
        let mut whole = serde_json::Map::new();
        for (name, value) in values.0 {
            match name.split_once('.') {
                None => drop(whole.insert(name, value)),
                Some((group, field)) => {
                    let fields = whole.entry(group).or_insert_with(|| json!({}));
                    fields[field] = value;
                }
            }
        }
        whole.entry(extra).or_insert(other);
        if let Some((settings, _)) = ClientSettings::from_body(Value::Object(whole).to_string().as_bytes()) {
            assert_in_bounds(&settings);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ClientSettings::from_body(&bytes);
    }

    /// Each number that is too large or too small becomes the nearest that is not: none of them is refused.
    #[test]
    fn a_number_out_of_its_range_is_bounded(number in any::<i64>()) {
        for setting in CATALOGUE {
            if let Kind::Length { least, most } | Kind::Number { least, most, .. } = setting.kind {
                prop_assert_eq!(setting.bounded(json!(number)), Some(json!(number.clamp(least, most))));
            }
        }
    }
}
