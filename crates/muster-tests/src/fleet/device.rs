//! A simulated device: its key and certificate, and where its two message channels stand.

use super::{error::FleetError, http::Connection};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use muster_model::{
    id::{DeviceId, Hash, SiteCode},
    problem::{Code, Problem},
    report::{Batch, Body, Channel, Message, REPORT_TYPE, ReportAnswer},
    time::UnixMillis,
};
use muster_trust::{PrivateKey, chain, envelope, tls};
use rustls::{ClientConfig, client::Resumption};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where a channel stands: the last acknowledged number and the chain's head at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Number of the last acknowledged message.
    pub last: u64,
    /// Head of the chain.
    pub head: Hash,
    /// The chain begins anew: what was acknowledged before is not known any more.
    pub anew: bool,
}

impl Default for Position {
    fn default() -> Self {
        Self { last: 0, head: Hash::ZERO, anew: false }
    }
}

/// A device.
#[derive(Debug)]
pub struct Device {
    /// Number in the fleet.
    pub number: u64,
    /// The site.
    pub site: SiteCode,
    /// The id that the site gave.
    pub id: DeviceId,
    /// Its key.
    pub key: PrivateKey,
    /// Its certificate, then the issuing CA's, DER.
    pub certificates: Vec<Vec<u8>>,
    /// Generation of the inventory that the site has; none: it has none.
    pub generation: Option<u64>,
    /// The status channel.
    pub status: Position,
    /// The inventory channel.
    pub inventory: Position,
}

/// A device as kept in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    number: u64,
    site: SiteCode,
    id: DeviceId,
    key: String,
    certificates: Vec<String>,
    generation: Option<u64>,
    status: Position,
    inventory: Position,
}

impl Device {
    /// As it is kept.
    #[must_use]
    pub fn keep(&self) -> Kept {
        Kept {
            number: self.number,
            site: self.site,
            id: self.id,
            key: BASE64.encode(self.key.pkcs8()),
            certificates: self.certificates.iter().map(|der| BASE64.encode(der)).collect(),
            generation: self.generation,
            status: self.status,
            inventory: self.inventory,
        }
    }

    /// From what was kept.
    ///
    /// # Errors
    /// [`FleetError::Unusable`] or [`FleetError::Key`].
    pub fn from_kept(kept: Kept) -> Result<Self, FleetError> {
        let decode = |text: &String| BASE64.decode(text).map_err(|error| FleetError::Unusable(error.to_string()));
        // The file may be older than what the site knows: then the device is told where to go on, and is no fork of itself.
        let resumed = |position: Position| Position { anew: true, ..position };
        Ok(Self {
            number: kept.number,
            site: kept.site,
            id: kept.id,
            key: PrivateKey::from_pkcs8(&decode(&kept.key)?)?,
            certificates: kept.certificates.iter().map(decode).collect::<Result<_, _>>()?,
            generation: kept.generation,
            status: resumed(kept.status),
            inventory: resumed(kept.inventory),
        })
    }

    /// Its TLS configuration. Without `resume` every connection is a full handshake and nothing is remembered.
    ///
    /// # Errors
    /// [`FleetError::Tls`].
    pub fn tls(&self, root: &[u8], resume: bool) -> Result<Arc<ClientConfig>, FleetError> {
        let mut config = tls::client(&[root.to_vec()], Some((&self.certificates, &self.key)))?;
        config.resumption = if resume { Resumption::in_memory_sessions(4) } else { Resumption::disabled() };
        Ok(Arc::new(config))
    }

    /// Where a channel stands.
    pub fn position(&mut self, channel: Channel) -> &mut Position {
        match channel {
            Channel::Status => &mut self.status,
            Channel::Inventory => &mut self.inventory,
        }
    }

    /// The next batch of a channel, signed, and the position after it.
    ///
    /// # Errors
    /// [`FleetError::Json`] or [`FleetError::Envelope`].
    pub fn batch(
        &mut self,
        channel: Channel,
        messages: Vec<Box<RawValue>>,
        now: UnixMillis,
    ) -> Result<(Vec<u8>, Position), FleetError> {
        let at = *self.position(channel);
        let head = messages.iter().fold(at.head, |head, message| chain(head, message.get().as_bytes()));
        let after = Position { last: at.last + messages.len() as u64, head, anew: false };
        let batch = Batch {
            site: self.site,
            channel,
            time: now,
            first: at.last + 1,
            previous: at.head,
            resume_after_loss: at.anew,
            messages,
        };
        let json = serde_json::to_vec(&batch)?;
        let payload = zstd::bulk::compress(&json, 1).map_err(FleetError::io("compressing a batch"))?;
        Ok((envelope::sign1(&self.key, REPORT_TYPE, payload)?, after))
    }

    /// Sends messages and takes note of the acknowledgement. Where the site knows more than the fleet's file does, it goes on there.
    ///
    /// # Errors
    /// [`FleetError::Refused`] and others.
    pub async fn report<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        connection: &mut Connection<S>,
        channel: Channel,
        messages: Vec<Box<RawValue>>,
        now: UnixMillis,
    ) -> Result<ReportAnswer, FleetError> {
        for _ in 0..2 {
            let (bytes, after) = self.batch(channel, messages.clone(), now)?;
            let answer = connection.post("/mp/v1/reports", "application/cose", &bytes).await?;
            if answer.status != 409 {
                let answer: ReportAnswer = serde_json::from_slice(&answer.expect(200, "a report")?.body)?;
                if (answer.acknowledged, answer.head) != (after.last, after.head) {
                    return Err(FleetError::Unusable("the site acknowledged other messages than were sent".to_owned()));
                }
                *self.position(channel) = after;
                return Ok(answer);
            }
            let problem: Problem = serde_json::from_slice(&answer.body)?;
            match (problem.code, problem.expected) {
                (Code::SequenceGap | Code::SequenceFork, Some(expected)) => {
                    *self.position(channel) =
                        Position { last: expected.saturating_sub(1), head: Hash::ZERO, anew: true };
                }
                _ => return Err(FleetError::Unusable(problem.detail)),
            }
        }
        Err(FleetError::Unusable("the site and the device do not agree on what was sent".to_owned()))
    }
}

/// A message as it stands in a batch.
///
/// # Errors
/// [`FleetError::Json`].
pub fn message(body: Body, now: UnixMillis) -> Result<Box<RawValue>, FleetError> {
    Ok(serde_json::value::to_raw_value(&Message { time: now, body })?)
}
