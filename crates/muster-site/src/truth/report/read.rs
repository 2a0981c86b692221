//! Reading a report before any transaction: envelope, decompression, batch, and each message by itself.

use super::decompress::{DecompressError, decompress};
use crate::{
    Ctx, Site, SiteError,
    ctx::DeviceCaller,
    knowledge::inventory::{
        interner::Interner,
        section::{self, clean},
    },
    truth::client_log,
};
use muster_model::{
    catalogue::Catalogue,
    compliance::ComplianceReport,
    discovery::Facts,
    enrol::DeviceClaims,
    health::HealthReport,
    id::DeviceId,
    limits::Limits,
    log::LogAnchor,
    problem::Code,
    report::{Batch, Body, Channel, Message, NetworkReport, REPORT_TYPE},
    status::{DeploymentReport, DeploymentState, StatusMessage},
    time::UnixMillis,
};
use muster_trust::envelope::{self, EnvelopeError};

/// A report that can be measured against its channel and committed.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) device: DeviceId,
    pub(super) received: UnixMillis,
    /// Where it came from.
    pub(super) address: String,
    /// The batch, with the exact bytes of its messages.
    pub(super) batch: Batch,
    /// The messages, in the same order.
    pub(super) items: Vec<Item>,
}

/// One message.
#[derive(Debug)]
pub(super) enum Item {
    /// Something happened.
    Status(UnixMillis, StatusMessage),
    /// A step of a deployment.
    Step(UnixMillis, DeploymentReport),
    /// The client is there.
    Heartbeat(DeviceClaims),
    /// Where the client is.
    Network(NetworkReport),
    /// What the client says of itself for discovery.
    Discovery(Facts),
    /// How the device stands to a baseline.
    Compliance(UnixMillis, ComplianceReport),
    /// What the client's checks of itself found.
    Health(UnixMillis, HealthReport),
    /// What is on the device.
    Inventory(section::Report),
    /// Where the client's log stands, with a piece of it or without.
    Log(UnixMillis, LogAnchor, Option<Box<client_log::Read>>),
    /// Not taken, and why.
    Refused(String),
}

/// Values of a status message, and bytes of each name and value.
const VALUES: usize = 16;
const VALUE_BYTES: usize = 1_024;

/// Reads the envelope of a report of the device that is connected. Nothing of it is believed before its signature holds.
pub(super) fn envelope(ctx: &Ctx, site: &Site, device: &DeviceCaller, bytes: &[u8]) -> Result<Report, SiteError> {
    if bytes.len() > site.limits.report_bytes {
        let detail =
            format!("A report may have at most {} bytes; send fewer messages in one.", site.limits.report_bytes);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let opened = envelope::open1(bytes, REPORT_TYPE, |id| (*id == device.key_id).then(|| device.key.clone()));
    let payload = opened.map_err(|error| match error {
        EnvelopeError::Malformed | EnvelopeError::Key(_) => malformed("not a signed report envelope"),
        EnvelopeError::KeyUnknown | EnvelopeError::SignatureInvalid | EnvelopeError::BelowThreshold => {
            SiteError::refused(
                Code::SignatureInvalid,
                "The report is not signed by the key of this connection's device.",
            )
        }
    })?;
    let most = site.limits.report_decoded_bytes;
    let json = decompress(payload.value(), most).map_err(|error| match error {
        DecompressError::Malformed => malformed("its payload is not one whole zstd frame"),
        DecompressError::TooLarge => {
            let detail =
                format!("A report may have at most {most} bytes after decompression; send fewer messages in one.");
            SiteError::refused(Code::TooLarge, detail)
        }
    })?;
    let batch: Batch = serde_json::from_slice(&json).map_err(|error| malformed(&error.to_string()))?;
    if batch.site != site.code {
        return Err(SiteError::refused(
            Code::ForeignSite,
            format!("The report is for site {}, and this is {}.", batch.site, site.code),
        ));
    }
    if batch.messages.len() > site.limits.report_messages {
        let detail = format!("A report may have at most {} messages; send several.", site.limits.report_messages);
        return Err(SiteError::refused(Code::TooLarge, detail));
    }
    let items = items(&batch, &site.catalogue.load(), &site.limits, &site.memory.interner);
    Ok(Report { device: device.id, received: ctx.now, address: ctx.address.clone(), batch, items })
}

impl Report {
    /// Bytes of its messages.
    pub(super) fn bytes(&self) -> usize {
        self.batch.messages.iter().map(|message| message.get().len()).sum()
    }

    /// Whether the client said something beside that it is there, and what it has.
    pub(super) fn says_something(&self) -> bool {
        let says =
            |item: &Item| matches!(item, Item::Status(..) | Item::Step(..) | Item::Compliance(..) | Item::Health(..));
        self.items.iter().any(says)
    }

    /// The last policy that the device says it accepted.
    pub(super) fn accepted_policy(&self) -> Option<u64> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Status(_, message) if message.id == muster_model::status::MessageId::PolicyAccepted => {
                message.values.get("version")?.parse().ok()
            }
            _ => None,
        })
    }
}

fn malformed(what: &str) -> SiteError {
    SiteError::refused(Code::Malformed, format!("The report cannot be read: {}.", clean(what, 200)))
}

/// Reads each message of a batch by itself.
pub(super) fn items(batch: &Batch, catalogue: &Catalogue, limits: &Limits, interner: &Interner) -> Vec<Item> {
    let read = |text: &str| match batch.channel {
        Channel::Inventory => match section::read(catalogue, limits, interner, text) {
            Ok(report) => Ok(Item::Inventory(report)),
            Err(why) => log_piece(text).unwrap_or(Err(why)),
        },
        Channel::Status => status(limits, text),
    };
    batch.messages.iter().map(|message| read(message.get()).unwrap_or_else(Item::Refused)).collect()
}

/// A piece of a log; `None`: it is something else.
fn log_piece(text: &str) -> Option<Result<Item, String>> {
    let Ok(Message { time, body: Body::LogPiece(piece) }) = serde_json::from_str(text) else { return None };
    if !piece.is_well_formed() {
        return Some(Err("A piece of a log has lines of bounded number and length, and its end.".to_owned()));
    }
    Some(client_log::read(piece).map(|(anchor, piece)| Item::Log(time, anchor, Some(piece))))
}

fn status(limits: &Limits, text: &str) -> Result<Item, String> {
    let message: Message =
        serde_json::from_str(text).map_err(|error| format!("Not a well-formed message: {error}."))?;
    match message.body {
        Body::Status(status) => {
            let ok = |text: &String| text.len() <= VALUE_BYTES;
            if status.values.len() > VALUES || !status.values.iter().all(|(name, value)| ok(name) && ok(value)) {
                return Err(format!("A status message has at most {VALUES} values of at most {VALUE_BYTES} bytes."));
            }
            let clean = |(name, value): (String, String)| (clean(&name, VALUE_BYTES), clean(&value, VALUE_BYTES));
            let values = status.values.into_iter().map(clean).collect();
            // Part and severity are those of the catalogue, whatever the client says.
            Ok(Item::Status(message.time, StatusMessage { values, ..status }.catalogued()?))
        }
        Body::Deployment(step) => {
            if step.state == DeploymentState::Targeted {
                return Err("`targeted` is said by the site, not by a client.".to_owned());
            }
            if step.output.len() > limits.output_bytes {
                return Err(format!("The output of an installer may have at most {} bytes.", limits.output_bytes));
            }
            // Lines stay lines; every other control character goes.
            let keep = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
            let output = step.output.chars().map(keep).collect();
            Ok(Item::Step(message.time, DeploymentReport { output, ..step }))
        }
        Body::Heartbeat(claims) if claims.is_well_formed() => Ok(Item::Heartbeat(claims)),
        Body::Heartbeat(_) => Err("A device's texts have 1 to 255 bytes and no control character.".to_owned()),
        Body::Network(network) if network.is_well_formed() => Ok(Item::Network(network)),
        Body::Network(_) => Err("A device reports at most 32 addresses with their prefixes, and one site.".to_owned()),
        Body::Discovery(said) if said.is_well_formed() => Ok(Item::Discovery(said.facts)),
        Body::Discovery(_) => {
            Err("A client says of itself what PROTOCOL.md lists for discovery, within its limits.".to_owned())
        }
        Body::Compliance(said) if said.is_well_formed() => Ok(Item::Compliance(message.time, said)),
        Body::Compliance(_) => {
            Err("A result is none of `unknown`, and has a value and a sentence of bounded length.".to_owned())
        }
        Body::Log(anchor) if anchor.is_well_formed() => Ok(Item::Log(message.time, anchor, None)),
        Body::Log(_) => Err("The numbers of a log do not fit each other.".to_owned()),
        Body::Health(said) if said.is_well_formed() => Ok(Item::Health(message.time, said)),
        Body::Health(_) => {
            Err("A client reports at most 32 checks, each once, with sentences of bounded length.".to_owned())
        }
        Body::Inventory(_) | Body::LogPiece(_) => Err("Inventory has a channel of its own.".to_owned()),
    }
}
