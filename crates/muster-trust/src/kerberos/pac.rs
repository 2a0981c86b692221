//! What a domain says of an account inside of a ticket: the PAC (MS-PAC), and in it `KERB_VALIDATION_INFO` in NDR.

use super::{KerberosError, Key, cipher::MAC, usage};

const BUFFERS: u32 = 32;
/// Groups of one list, and extra ones; a token of Windows holds 1,024.
const GROUPS: u32 = 2_048;
const LOGON_INFO: u32 = 1;
const SERVER_CHECKSUM: u32 = 6;
const KDC_CHECKSUM: u32 = 7;
const CLIENT_INFO: u32 = 10;
const DELEGATION_INFO: u32 = 11;
const REQUESTOR: u32 = 18;
/// `HMAC_MD5`, whose checksum has 16 bytes.
const HMAC_MD5: u32 = 0xffff_ff76;
/// Seconds from 1601 to 1970.
const EPOCH: i64 = 11_644_473_600;
/// `SE_GROUP_ENABLED`.
const ENABLED: u32 = 4;

/// What the domain says of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pac {
    /// `sAMAccountName`.
    pub(super) name: String,
    /// `USER_ACCOUNT` flags.
    pub(super) control: u32,
    /// The security identifier, `S-1-5-21-...`.
    pub(super) sid: String,
    /// Those of its groups.
    pub(super) groups: Vec<String>,
}

/// The buffers of a PAC.
struct Buffers<'a> {
    bytes: &'a [u8],
    found: Vec<(u32, usize, usize)>,
}

fn number(bytes: &[u8], at: usize) -> Result<u32, KerberosError> {
    let four = at.checked_add(4).and_then(|end| bytes.get(at..end)).and_then(|four| four.try_into().ok());
    four.map(u32::from_le_bytes).ok_or(KerberosError::Malformed)
}

impl<'a> Buffers<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, KerberosError> {
        let (count, version) = (number(bytes, 0)?, number(bytes, 4)?);
        if count > BUFFERS || version != 0 {
            return Err(KerberosError::Malformed);
        }
        let mut found = Vec::new();
        for index in 0..count as usize {
            let at = 8 + index * 16;
            let (kind, size) = (number(bytes, at)?, number(bytes, at + 4)? as usize);
            let (offset, high) = (number(bytes, at + 8)? as usize, number(bytes, at + 12)?);
            let end = offset.checked_add(size).filter(|end| *end <= bytes.len() && high == 0);
            found.push((kind, offset, end.ok_or(KerberosError::Malformed)?));
        }
        Ok(Self { bytes, found })
    }

    /// Where the one buffer of a type is.
    fn place(&self, kind: u32) -> Result<Option<(usize, usize)>, KerberosError> {
        let mut places = self.found.iter().filter(|(found, ..)| *found == kind);
        match (places.next(), places.next()) {
            (Some((_, from, to)), None) => Ok(Some((*from, *to))),
            (None, _) => Ok(None),
            _ => Err(KerberosError::Malformed),
        }
    }

    fn get(&self, kind: u32) -> Result<Option<&'a [u8]>, KerberosError> {
        Ok(self.place(kind)?.map(|(from, to)| &self.bytes[from..to]))
    }

    fn need(&self, kind: u32) -> Result<&'a [u8], KerberosError> {
        self.get(kind)?.ok_or(KerberosError::NoPac)
    }

    /// Whether the domain controller signed this for the service whose key this is. Without that, who asks for a ticket
    /// could have put it there.
    fn verify(&self, key: &Key) -> Result<(), KerberosError> {
        let mut signed = self.bytes.to_vec();
        for kind in [SERVER_CHECKSUM, KDC_CHECKSUM] {
            let (from, to) = self.place(kind)?.ok_or(KerberosError::PacSignature)?;
            let size = if number(self.bytes, from)? == HMAC_MD5 { 16 } else { MAC };
            let field = signed.get_mut(from..to).and_then(|buffer| buffer.get_mut(4..4 + size));
            field.ok_or(KerberosError::PacSignature)?.fill(0);
        }
        let checksum = self.need(SERVER_CHECKSUM)?;
        if i64::from(number(checksum, 0)?) != key.kind().checksum() {
            return Err(KerberosError::PacSignature);
        }
        if crate::secret_eq(&key.checksum(usage::PAC, &signed)?, &checksum[4..4 + MAC]) {
            Ok(())
        } else {
            Err(KerberosError::PacSignature)
        }
    }
}

/// Reads a PAC that the domain signed for the service with this key, about this client of a ticket of this time.
pub(super) fn read(bytes: &[u8], key: &Key, client: &str, authenticated: i64) -> Result<Pac, KerberosError> {
    let buffers = Buffers::read(bytes)?;
    buffers.verify(key)?;
    if buffers.get(DELEGATION_INFO)?.is_some() {
        return Err(KerberosError::Delegated);
    }
    let info = buffers.need(CLIENT_INFO)?;
    let time = u64::from(number(info, 0)?) | u64::from(number(info, 4)?) << 32;
    let name = info.get(10..).ok_or(KerberosError::Malformed)?;
    let length = usize::from(u16::from_le_bytes([info[8], info[9]]));
    let same_time = i64::try_from(time / 10_000_000).is_ok_and(|seconds| seconds - EPOCH == authenticated);
    if !same_time || name.len() < length || utf16(&name[..length])? != client {
        return Err(KerberosError::PacSignature);
    }
    let pac = validation(buffers.need(LOGON_INFO)?)?;
    let requestor = buffers.get(REQUESTOR)?.map(|bytes| Ndr { bytes, at: 0 }.sid()).transpose()?;
    if !pac.name.eq_ignore_ascii_case(client) || requestor.is_some_and(|requestor| requestor != pac.sid) {
        return Err(KerberosError::PacSignature);
    }
    Ok(pac)
}

fn utf16(bytes: &[u8]) -> Result<String, KerberosError> {
    if !bytes.len().is_multiple_of(2) {
        return Err(KerberosError::Malformed);
    }
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).map_err(|_| KerberosError::Malformed)
}

/// NDR as Windows writes it: little-endian, each integer at a multiple of its size.
struct Ndr<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Ndr<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], KerberosError> {
        let end = self.at.checked_add(count).ok_or(KerberosError::Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(KerberosError::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, KerberosError> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, KerberosError> {
        self.at = self.at.next_multiple_of(2);
        let pair = self.take(2)?;
        Ok(u16::from_le_bytes([pair[0], pair[1]]))
    }

    fn u32(&mut self) -> Result<u32, KerberosError> {
        self.at = self.at.next_multiple_of(4);
        let four = self.take(4)?;
        Ok(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    }

    /// Whether there is a text: its pointer.
    fn text_header(&mut self) -> Result<bool, KerberosError> {
        self.u16()?;
        self.u16()?;
        Ok(self.u32()? != 0)
    }

    /// The text that a pointer points to.
    fn text(&mut self, is_there: bool) -> Result<String, KerberosError> {
        if !is_there {
            return Ok(String::new());
        }
        let (most, offset, count) = (self.u32()?, self.u32()?, self.u32()?);
        if offset != 0 || count > most || count > 4_096 {
            return Err(KerberosError::Malformed);
        }
        utf16(self.take(count as usize * 2)?)
    }

    /// A SID as it stands alone.
    fn sid(&mut self) -> Result<String, KerberosError> {
        let (revision, count) = (self.u8()?, self.u8()?);
        if revision != 1 || count > 15 {
            return Err(KerberosError::Malformed);
        }
        let authority = self.take(6)?.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let mut text = format!("S-1-{authority}");
        for _ in 0..count {
            text.push('-');
            text.push_str(&self.u32()?.to_string());
        }
        Ok(text)
    }

    /// A SID that a pointer points to: with its count before it.
    fn pointed_sid(&mut self) -> Result<String, KerberosError> {
        let count = self.u32()?;
        let said = self.bytes.get(self.at + 1).ok_or(KerberosError::Malformed)?;
        if u32::from(*said) != count {
            return Err(KerberosError::Malformed);
        }
        self.sid()
    }

    /// How long a list is that has `count` elements by its header.
    fn list(&mut self, count: u32) -> Result<u32, KerberosError> {
        let most = self.u32()?;
        if most != count || count > GROUPS { Err(KerberosError::Malformed) } else { Ok(count) }
    }

    /// `GROUP_MEMBERSHIP`s that a pointer points to: the relative identifiers of those that are enabled.
    fn memberships(&mut self, count: u32) -> Result<Vec<u32>, KerberosError> {
        let mut groups = Vec::new();
        for _ in 0..self.list(count)? {
            let (group, attributes) = (self.u32()?, self.u32()?);
            if attributes & ENABLED != 0 {
                groups.push(group);
            }
        }
        Ok(groups)
    }
}

/// `KERB_VALIDATION_INFO`.
fn validation(bytes: &[u8]) -> Result<Pac, KerberosError> {
    // Version 1, little-endian, of the header's own length.
    if bytes.get(..4) != Some(&[1, 0x10, 8, 0]) {
        return Err(KerberosError::Malformed);
    }
    let mut ndr = Ndr { bytes: bytes.get(16..).ok_or(KerberosError::Malformed)?, at: 0 };
    if ndr.u32()? == 0 {
        return Err(KerberosError::Malformed);
    }
    let _times = ndr.take(6 * 8)?;
    let mut texts = [false; 6];
    for text in &mut texts {
        *text = ndr.text_header()?;
    }
    let _logon_counts = ndr.take(4)?;
    let (user, primary) = (ndr.u32()?, ndr.u32()?);
    let (count, groups_there) = (ndr.u32()?, ndr.u32()? != 0);
    let _flags_and_session_key = ndr.take(4 + 16)?;
    let (server, domain) = (ndr.text_header()?, ndr.text_header()?);
    let domain_there = ndr.u32()? != 0;
    let _reserved = ndr.take(8)?;
    let control = ndr.u32()?;
    let _status_times_and_failures = ndr.take(4 + 8 + 8 + 4 + 4)?;
    let (extra_count, extra_there) = (ndr.u32()?, ndr.u32()? != 0);
    let resource_there = ndr.u32()? != 0;
    let (resource_count, resources_there) = (ndr.u32()?, ndr.u32()? != 0);

    // What the pointers point to follows in their order.
    let name = ndr.text(texts[0])?;
    for text in &texts[1..] {
        ndr.text(*text)?;
    }
    let mut relative = if groups_there { ndr.memberships(count)? } else { Vec::new() };
    relative.push(primary);
    ndr.text(server)?;
    ndr.text(domain)?;
    if !domain_there {
        return Err(KerberosError::Malformed);
    }
    let domain = ndr.pointed_sid()?;
    let mut groups: Vec<String> = relative.iter().map(|group| format!("{domain}-{group}")).collect();
    if extra_there {
        let mut enabled = Vec::new();
        for _ in 0..ndr.list(extra_count)? {
            let (there, attributes) = (ndr.u32()? != 0, ndr.u32()?);
            if !there {
                return Err(KerberosError::Malformed);
            }
            enabled.push(attributes & ENABLED != 0);
        }
        for enabled in enabled {
            let sid = ndr.pointed_sid()?;
            if enabled {
                groups.push(sid);
            }
        }
    }
    if resource_there {
        let resource = ndr.pointed_sid()?;
        let members = if resources_there { ndr.memberships(resource_count)? } else { Vec::new() };
        groups.extend(members.iter().map(|group| format!("{resource}-{group}")));
    }
    groups.sort();
    groups.dedup();
    Ok(Pac { name, control, sid: format!("{domain}-{user}"), groups })
}

/// Whether bytes are a PAC, or what the largest part of one holds. Nothing of it is believed.
pub(super) fn inspect(bytes: &[u8]) -> bool {
    let whole = Buffers::read(bytes).and_then(|buffers| validation(buffers.need(LOGON_INFO)?));
    whole.is_ok() || validation(bytes).is_ok() || Ndr { bytes, at: 0 }.sid().is_ok()
}
