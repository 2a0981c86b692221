//! Keytabs (version 5.2 of the file that MIT, Heimdal, Samba and `ktpass` write): the keys of principals.

use super::{KerberosError, Key, NAME_BYTES};
use zeroize::Zeroizing;

/// Entries of one file.
const ENTRIES: usize = 1_000;
/// Parts of a principal's name.
const COMPONENTS: u16 = 4;

/// One key of one principal.
#[derive(Debug, Clone)]
pub struct KeytabEntry {
    /// The realm.
    pub realm: String,
    /// The name without its realm: `PC1$`, or `muster/site.example`.
    pub principal: String,
    /// The version of the key.
    pub version: u32,
    /// The key.
    pub key: Key,
}

/// The AES keys of a keytab. Keys of other types are passed over.
#[derive(Debug, Clone, Default)]
pub struct Keytab {
    entries: Vec<KeytabEntry>,
}

/// Big-endian integers and counted strings.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], KerberosError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(KerberosError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], KerberosError> {
        self.take(N)?.try_into().map_err(|_| KerberosError::Malformed)
    }

    fn u16(&mut self) -> Result<u16, KerberosError> {
        self.array().map(u16::from_be_bytes)
    }

    fn sized(&mut self) -> Result<&'a [u8], KerberosError> {
        let size = self.u16()?;
        self.take(usize::from(size))
    }

    fn name(&mut self) -> Result<&'a str, KerberosError> {
        let bytes = self.sized()?;
        let plain = !bytes.is_empty() && bytes.len() <= NAME_BYTES && bytes.iter().all(u8::is_ascii_graphic);
        plain.then(|| std::str::from_utf8(bytes).ok()).flatten().ok_or(KerberosError::Malformed)
    }
}

impl Keytab {
    /// Reads a keytab.
    ///
    /// # Errors
    /// [`KerberosError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, KerberosError> {
        let mut reader = Reader(bytes);
        if reader.array::<2>()? != [5, 2] {
            return Err(KerberosError::Malformed);
        }
        let mut entries = Vec::new();
        for _ in 0..ENTRIES {
            if reader.0.is_empty() {
                return Ok(Self { entries });
            }
            let size = i32::from_be_bytes(reader.array()?);
            let count = usize::try_from(size.unsigned_abs()).map_err(|_| KerberosError::Malformed)?;
            let record = reader.take(count)?;
            // A negative length is the hole that a removed entry left; a zero one ends the file.
            if size == 0 {
                return Ok(Self { entries });
            }
            if size > 0 {
                entries.extend(entry(record)?);
            }
        }
        Err(KerberosError::Malformed)
    }

    /// All of its keys.
    #[must_use]
    pub fn entries(&self) -> &[KeytabEntry] {
        &self.entries
    }

    /// The keys of a principal, the newest first.
    #[must_use]
    pub fn keys(&self, realm: &str, principal: &str) -> Vec<&KeytabEntry> {
        let is_its = |entry: &&KeytabEntry| entry.realm == realm && entry.principal.eq_ignore_ascii_case(principal);
        let mut keys: Vec<_> = self.entries.iter().filter(is_its).collect();
        keys.sort_by_key(|entry| std::cmp::Reverse((entry.version, entry.key.kind().number())));
        keys
    }

    /// The computer that this keytab is of: the first principal with the name of one.
    #[must_use]
    pub fn computer(&self) -> Option<(&str, &str)> {
        let found = self.entries.iter().find(|entry| entry.principal.ends_with('$') && !entry.principal.contains('/'));
        found.map(|entry| (entry.realm.as_str(), entry.principal.as_str()))
    }
}

/// One entry; none when its key is of a type that is not used.
fn entry(record: &[u8]) -> Result<Option<KeytabEntry>, KerberosError> {
    let mut reader = Reader(record);
    let components = reader.u16()?;
    if !(1..=COMPONENTS).contains(&components) {
        return Err(KerberosError::Malformed);
    }
    let realm = reader.name()?.to_owned();
    let mut names = Vec::new();
    for _ in 0..components {
        names.push(reader.name()?);
    }
    let _name_type_and_time = reader.take(8)?;
    let short_version = u32::from(reader.array::<1>()?[0]);
    let kind = reader.u16()?;
    let bytes = Zeroizing::new(reader.sized()?.to_vec());
    let version = match reader.0.len() {
        0..4 => short_version,
        _ => match u32::from_be_bytes(reader.array()?) {
            0 => short_version,
            version => version,
        },
    };
    let Ok(key) = Key::new(i64::from(kind), &bytes) else { return Ok(None) };
    Ok(Some(KeytabEntry { realm, principal: names.join("/"), version, key }))
}
