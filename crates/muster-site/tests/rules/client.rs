//! A client as the site sees it: it keeps its messages until they are acknowledged, and sends them in signed batches.

use muster_model::{
    id::Hash,
    inventory::{Change, InventoryReport, Row, Section, Value, section_bytes},
    report::{Batch, Body, Channel, Message, REPORT_TYPE, ReportAnswer},
    status::{Component, MessageId, Severity, StatusMessage},
    time::UnixMillis,
};
use muster_site::{
    SiteError, report_submit,
    testing::{TestDevice, TestSite},
};
use muster_trust::{chain, envelope::sign1, sha256};
use serde_json::value::RawValue;

/// The outbox of one channel.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(crate) channel: Channel,
    /// Messages that are not acknowledged: the first has number `acknowledged + 1`.
    pub(crate) waiting: Vec<String>,
    pub(crate) acknowledged: u64,
    pub(crate) head: Hash,
}

impl Outbox {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { channel, waiting: Vec::new(), acknowledged: 0, head: Hash::ZERO }
    }

    pub(crate) fn push(&mut self, body: Body) {
        let message = Message { time: UnixMillis(1_790_000_000_000), body };
        self.waiting.push(serde_json::to_string(&message).unwrap());
    }

    pub(crate) fn batch(&self, count: usize) -> Batch {
        let raw = |text: &String| RawValue::from_string(text.clone()).unwrap();
        Batch {
            site: "TST".parse().unwrap(),
            channel: self.channel,
            time: UnixMillis(1_790_000_000_000),
            first: self.acknowledged + 1,
            previous: self.head,
            resume_after_loss: false,
            messages: self.waiting.iter().take(count).map(raw).collect(),
        }
    }

    /// Takes the site's answer: what is acknowledged is forgotten.
    pub(crate) fn take(&mut self, answer: &ReportAnswer) {
        let mut head = self.head;
        let done = usize::try_from(answer.acknowledged - self.acknowledged).unwrap();
        for message in self.waiting.drain(..done) {
            head = chain(head, message.as_bytes());
        }
        assert_eq!(head, answer.head, "the site has the same chain");
        (self.acknowledged, self.head) = (answer.acknowledged, head);
    }

    /// Sends everything and takes the answer.
    pub(crate) async fn send(&mut self, test: &TestSite, device: &TestDevice) -> Result<ReportAnswer, SiteError> {
        let answer = report_submit(&test.device(device), &test.site, &sealed(device, &self.batch(1_000))).await?;
        self.take(&answer);
        Ok(answer)
    }
}

/// The envelope of a batch.
pub(crate) fn sealed(device: &TestDevice, batch: &Batch) -> Vec<u8> {
    sealed_json(device, &serde_json::to_vec(batch).unwrap())
}

/// The envelope of any JSON.
pub(crate) fn sealed_json(device: &TestDevice, json: &[u8]) -> Vec<u8> {
    sign1(&device.key, REPORT_TYPE, zstd::encode_all(json, 3).unwrap()).unwrap()
}

pub(crate) fn status(id: MessageId, severity: Severity, values: &[(&str, &str)]) -> Body {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Body::Status(StatusMessage { component: Component::Agent, id, severity, values })
}

pub(crate) fn row(values: &[(&str, Value)]) -> Row {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

pub(crate) fn package(name: &str, version: &str) -> Row {
    let text = |text: &str| Value::Text(text.to_owned());
    row(&[("SoftwareCode", text(name)), ("ProductName", text(name)), ("ProductVersion", text(version))])
}

pub(crate) fn digest(rows: &[Row]) -> Hash {
    sha256(&section_bytes(rows))
}

pub(crate) fn full(class: &str, rows: &[Row]) -> Section {
    Section { class: class.to_owned(), digest: digest(rows), change: Change::Full { rows: rows.to_vec() } }
}

pub(crate) fn inventory(sections: Vec<Section>) -> Body {
    Body::Inventory(InventoryReport { sections, unread: Vec::new() })
}
