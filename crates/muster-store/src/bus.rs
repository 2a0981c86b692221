//! Notification between the parts of a site: who must look again. In one process it is a broadcast channel.
//!
//! A notice says only that something changed. Losing one costs time, never truth; a receiver that fell behind looks at everything.

use muster_model::id::DeviceId;
use tokio::sync::broadcast;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The device's assignment changed.
    PolicyChanged(DeviceId),
    /// Many assignments changed at once: every live channel may look.
    AllPoliciesChanged,
    /// The device is locked out: close everything it has open.
    DeviceClosed(DeviceId),
    /// The server's own certificate, or one that it had before, was revoked.
    ServerCertificateRevoked,
    /// Another trust bundle is in force.
    TrustChanged {
        /// Whether an issuing CA is believed no longer: whoever came in by it has to come again.
        dropped: bool,
    },
    /// Something that a page shows changed.
    Changed(Noun),
}

/// What a page may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noun {
    /// Devices.
    Device,
    /// Enrolment requests and tokens.
    Enrolment,
    /// Collections and their members.
    Collection,
    /// Deployments and their states.
    Deployment,
    /// Status messages.
    Message,
}

impl Noun {
    /// The stable text, as in the event stream.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Enrolment => "enrolment",
            Self::Collection => "collection",
            Self::Deployment => "deployment",
            Self::Message => "message",
        }
    }
}

/// The bus.
#[derive(Debug, Clone)]
pub struct Bus(broadcast::Sender<Notice>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::channel(4096).0)
    }
}

impl Bus {
    /// Tells everyone who listens.
    pub fn publish(&self, notice: Notice) {
        // Nobody listening is not an error.
        drop(self.0.send(notice));
    }

    /// Listens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.0.subscribe()
    }
}
