//! The commands of TPM 2.0 that the client uses (Trusted Platform Module Library, part 3), and nothing more of it.

use super::{TpmError, transport::Transport};
use muster_trust::attestation::wire::{Reader, sized};

/// An object or session in the TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle(u32);

/// The hierarchy of whoever owns the machine.
pub const OWNER: Handle = Handle(0x4000_0001);
/// The hierarchy of the TPM's vendor.
pub const ENDORSEMENT: Handle = Handle(0x4000_000b);
const NULL: Handle = Handle(0x4000_0007);
/// A session without anything: the authorisation value is empty.
const EMPTY_PASSWORD: Handle = Handle(0x4000_0009);
/// The first handle of objects that are loaded.
const TRANSIENT: u32 = 0x8000_0000;
const LOADED_SESSIONS: u32 = 0x0200_0000;

const SESSIONS: u16 = 0x8002;
const NO_SESSIONS: u16 = 0x8001;
const ALG_NULL: u16 = 0x0010;
const ALG_SHA256: u16 = 0x000b;
/// Bytes that are read of an NV index at once; every TPM can do as many.
const NV_PIECE: u16 = 512;
/// Bytes of a certificate in NV memory.
const NV_BYTES: u16 = 4096;

/// An authorisation: whose, and whether the session ends with the command.
type Authorisation = Handle;

/// A TPM that takes commands.
#[derive(Debug)]
pub struct Commands(Transport);

/// A key that was made below another: what to keep of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The private half, which only this TPM can open.
    pub private: Vec<u8>,
    /// The public area.
    pub public: Vec<u8>,
}

impl Commands {
    /// Opens the TPM at `place`: a device, `unix:<path>` or `tcp:<host>:<port>`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn open(place: &str) -> Result<Self, TpmError> {
        Self::new(Transport::open(place)?)
    }

    /// Over an open transport. Without a resource manager, what others left in the TPM is thrown out first: it has few places.
    fn new(transport: Transport) -> Result<Self, TpmError> {
        let bare = transport.is_bare();
        let mut commands = Self(transport);
        if bare {
            for first in [TRANSIENT, LOADED_SESSIONS] {
                for handle in commands.handles(first)? {
                    commands.flush(handle)?;
                }
            }
        }
        Ok(commands)
    }

    /// Sends a command; the parameters of its response, after the handle where it returns one.
    fn run(
        &mut self,
        code: u32,
        handles: &[Handle],
        authorisations: &[Authorisation],
        parameters: &[u8],
        returns_handle: bool,
    ) -> Result<(Handle, Vec<u8>), TpmError> {
        let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.0.to_be_bytes()).collect();
        if !authorisations.is_empty() {
            // Each: the session, no nonce, continueSession for a password only, no HMAC.
            let area: Vec<u8> = authorisations
                .iter()
                .flat_map(|session| {
                    let attributes = u8::from(*session == EMPTY_PASSWORD);
                    [&session.0.to_be_bytes()[..], &[0, 0, attributes, 0, 0]].concat()
                })
                .collect();
            body.extend(u32::try_from(area.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend(area);
        }
        body.extend(parameters);
        let tag = if authorisations.is_empty() { NO_SESSIONS } else { SESSIONS };
        let size = u32::try_from(body.len() + 10).unwrap_or(u32::MAX);
        let command = [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), &body].concat();
        let response = self.0.exchange(&command)?;
        let mut reader = Reader::new(&response);
        let (tag, _size, answer) = (reader.u16()?, reader.u32()?, reader.u32()?);
        if answer != 0 {
            return Err(TpmError::Refused { command: code, code: answer });
        }
        let handle = if returns_handle { Handle(reader.u32()?) } else { NULL };
        let parameters = match tag {
            SESSIONS => {
                let size = usize::try_from(reader.u32()?).map_err(|_| TpmError::Malformed)?;
                reader.take(size)?
            }
            _ => reader.rest(),
        };
        Ok((handle, parameters.to_vec()))
    }

    /// `TPM2_GetCapability` of handles from `first` on.
    fn handles(&mut self, first: u32) -> Result<Vec<Handle>, TpmError> {
        const HANDLES: u32 = 1;
        let parameters = [HANDLES, first, 64].map(u32::to_be_bytes).concat();
        let (_, answer) = self.run(0x017a, &[], &[], &parameters, false)?;
        let mut reader = Reader::new(&answer);
        let (_more, kind, count) = (reader.u8()?, reader.u32()?, reader.u32()?);
        if kind != HANDLES || count > 254 {
            return Err(TpmError::Malformed);
        }
        (0..count).map(|_| Ok(Handle(reader.u32()?))).collect()
    }

    /// `TPM2_FlushContext`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn flush(&mut self, handle: Handle) -> Result<(), TpmError> {
        self.run(0x0165, &[], &[], &handle.0.to_be_bytes(), false).map(drop)
    }

    /// `TPM2_CreatePrimary`: the same template gives the same key, each time. Handle and public area.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn create_primary(&mut self, hierarchy: Handle, template: &[u8]) -> Result<(Handle, Vec<u8>), TpmError> {
        let parameters = creation(template);
        let (handle, answer) = self.run(0x0131, &[hierarchy], &[EMPTY_PASSWORD], &parameters, true)?;
        let public = Reader::new(&answer).sized()?.to_vec();
        Ok((handle, public))
    }

    /// `TPM2_Create`: a new key below `parent`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn create(&mut self, parent: Handle, template: &[u8]) -> Result<Created, TpmError> {
        let (_, answer) = self.run(0x0153, &[parent], &[EMPTY_PASSWORD], &creation(template), false)?;
        let mut reader = Reader::new(&answer);
        Ok(Created { private: reader.sized()?.to_vec(), public: reader.sized()?.to_vec() })
    }

    /// `TPM2_Load`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn load(&mut self, parent: Handle, key: &Created) -> Result<Handle, TpmError> {
        let parameters = [sized(&key.private), sized(&key.public)].concat();
        self.run(0x0157, &[parent], &[EMPTY_PASSWORD], &parameters, true).map(|(handle, _)| handle)
    }

    /// `TPM2_Sign` of a SHA-256 digest, in the key's own scheme: `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn sign(&mut self, key: Handle, digest: &[u8; 32]) -> Result<Vec<u8>, TpmError> {
        // The ticket that a restricted key would want: none.
        let no_ticket = [&0x8024_u16.to_be_bytes()[..], &NULL.0.to_be_bytes(), &[0, 0]].concat();
        let parameters = [sized(digest), ALG_NULL.to_be_bytes().to_vec(), no_ticket].concat();
        self.run(0x015d, &[key], &[EMPTY_PASSWORD], &parameters, false).map(|(_, answer)| answer)
    }

    /// `TPM2_Certify` of `key` by `attestation`, over `nonce`: `TPMS_ATTEST` and `TPMT_SIGNATURE`.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn certify(
        &mut self,
        key: Handle,
        attestation: Handle,
        nonce: &[u8; 32],
    ) -> Result<(Vec<u8>, Vec<u8>), TpmError> {
        let parameters = [sized(nonce), ALG_NULL.to_be_bytes().to_vec()].concat();
        let (_, answer) =
            self.run(0x0148, &[key, attestation], &[EMPTY_PASSWORD, EMPTY_PASSWORD], &parameters, false)?;
        let mut reader = Reader::new(&answer);
        let statement = reader.sized()?.to_vec();
        Ok((statement, reader.rest().to_vec()))
    }

    /// `TPM2_ActivateCredential`: the secret, when the TPM has both keys.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn activate_credential(
        &mut self,
        attestation: Handle,
        endorsement: Handle,
        blob: &[u8],
        seed: &[u8],
    ) -> Result<Vec<u8>, TpmError> {
        let session = self.endorsement_session()?;
        let parameters = [sized(blob), sized(seed)].concat();
        let answer = self.run(0x0147, &[attestation, endorsement], &[EMPTY_PASSWORD, session], &parameters, false);
        match answer {
            // The session ended with the command.
            Ok((_, answer)) => Ok(Reader::new(&answer).sized()?.to_vec()),
            Err(error) => {
                let _ = self.flush(session);
                Err(error)
            }
        }
    }

    /// `TPM2_StartAuthSession` and `TPM2_PolicySecret`: what the standard endorsement key wants of whoever uses it.
    fn endorsement_session(&mut self) -> Result<Handle, TpmError> {
        const POLICY: u8 = 1;
        let mut nonce = [0; 16];
        muster_trust::random(&mut nonce).map_err(|_| TpmError::Malformed)?;
        let parameters = [
            sized(&nonce),
            sized(&[]),
            vec![POLICY],
            ALG_NULL.to_be_bytes().to_vec(),
            ALG_SHA256.to_be_bytes().to_vec(),
        ]
        .concat();
        let (session, _) = self.run(0x0176, &[NULL, NULL], &[], &parameters, true)?;
        // No nonce, command hash or reference, and no expiry.
        let parameters = [sized(&[]), sized(&[]), sized(&[]), vec![0; 4]].concat();
        match self.run(0x0151, &[ENDORSEMENT, session], &[EMPTY_PASSWORD], &parameters, false) {
            Ok(_) => Ok(session),
            Err(error) => {
                let _ = self.flush(session);
                Err(error)
            }
        }
    }

    /// The content of an NV index (`TPM2_NV_ReadPublic`, `TPM2_NV_Read`); `None` when there is no such index.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn nv_read(&mut self, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
        let index = Handle(index);
        let public = match self.run(0x0169, &[index], &[], &[], false) {
            Ok((_, public)) => public,
            Err(TpmError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // nvIndex, nameAlg, attributes, authPolicy, dataSize
        let mut outer = Reader::new(&public);
        let mut area = Reader::new(outer.sized()?);
        area.take(4 + 2 + 4)?;
        area.sized()?;
        let size = area.u16()?;
        if size > NV_BYTES {
            return Err(TpmError::Malformed);
        }
        let mut content = Vec::new();
        while content.len() < usize::from(size) {
            let offset = u16::try_from(content.len()).map_err(|_| TpmError::Malformed)?;
            let piece = NV_PIECE.min(size - offset);
            let parameters = [piece.to_be_bytes(), offset.to_be_bytes()].concat();
            let (_, answer) = self.run(0x014e, &[index, index], &[EMPTY_PASSWORD], &parameters, false)?;
            let read = Reader::new(&answer).sized()?.to_vec();
            if read.len() != usize::from(piece) {
                return Err(TpmError::Malformed);
            }
            content.extend(read);
        }
        Ok(Some(content))
    }
}

/// What a creation needs beside its template: no authorisation value, no data, no creation record.
fn creation(template: &[u8]) -> Vec<u8> {
    let no_secret = sized(&[sized(&[]), sized(&[])].concat());
    [no_secret, sized(template), sized(&[]), vec![0; 4]].concat()
}
