//! The server's private keys in a PKCS#11 token: made there, used there, and never anywhere else.
//!
//! One session is held open and logged in. When the token does not answer as it should, the session is given up and opened
//! anew, once for each signature; so a token that was away is used again when it is back, and what was asked meanwhile fails.

use crate::serve::{StartError, private};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
};
use muster_model::id::Hash;
use muster_trust::{
    PublicKey, Signer,
    key::{KeyError, p256_digest},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// `prime256v1` as an object identifier in DER: the one curve that there is.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Keys of a token that are looked through.
const KEYS: usize = 1_000;

/// Why a token did not do what it should. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The module is not one.
    #[error("{}: the PKCS#11 module cannot be used: {error}; name the right one in pkcs11.module", .path.display())]
    Module {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Error,
    },
    /// No such token is there.
    #[error("there is no PKCS#11 token \"{0}\"; put it in, or name the right one in pkcs11.token")]
    Absent(String),
    /// The file with the PIN.
    #[error("{0}")]
    PinFile(#[from] Box<StartError>),
    /// The PIN is wrong. It is not tried again, because a token locks itself after a few tries.
    #[error("the PIN is not the token's; it is not tried again before the file changes")]
    Pin,
    /// The key could be taken out.
    #[error("the key {0} could leave the token, so that it is worth no more than a file; it is not used")]
    Extractable(Hash),
    /// What it holds is not a key of this kind.
    #[error("the token's key is not one on P-256")]
    Curve,
    /// The key is not there.
    #[error("the key {0} is not in the token")]
    NoKey(Hash),
    /// What it signed does not verify.
    #[error("what the token signed does not verify")]
    WrongSignature,
    /// It refused, or is gone.
    #[error("the token refused: {0}")]
    Refused(#[from] Error),
}

/// A token, and how it is opened.
pub(crate) struct Token {
    module: Pkcs11,
    label: String,
    pin_file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// SHA-256 of a PIN that was wrong.
    wrong: Option<Hash>,
}

/// A session that is logged in, and the private keys that were found in it.
struct Open {
    session: Session,
    keys: BTreeMap<Hash, ObjectHandle>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?})", self.label)
    }
}

/// Modules are started once in a process.
fn module(path: &Path) -> Result<Pkcs11, TokenError> {
    static STARTED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = started.get(path) {
        return Ok(module.clone());
    }
    let at = |error| TokenError::Module { path: path.to_owned(), error };
    let module = Pkcs11::new(path).map_err(at)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(at(error)),
    }
    started.insert(path.to_owned(), module.clone());
    Ok(module)
}

impl Token {
    /// The token of that label. It is opened when it is first needed.
    ///
    /// # Errors
    /// [`TokenError::Module`].
    pub(crate) fn new(module_path: &Path, label: &str, pin_file: PathBuf) -> Result<Arc<Self>, TokenError> {
        let module = module(module_path)?;
        Ok(Arc::new(Self { module, label: label.to_owned(), pin_file, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self) -> Result<Option<Slot>, TokenError> {
        for slot in self.module.get_slots_with_token()? {
            // A slot that was emptied meanwhile is not the one.
            let Ok(info) = self.module.get_token_info(slot) else { continue };
            if info.token_initialized() && info.label().trim_end() == self.label {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Starts the module anew: some see a token that came back only so.
    fn restart(&self) -> Result<(), TokenError> {
        match self.module.clone().finalize() {
            // It could not be started the last time either.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?)
    }

    fn session(&self, wrong: &mut Option<Hash>) -> Result<Session, TokenError> {
        let slot = match self.slot() {
            Ok(Some(slot)) => slot,
            _ => {
                self.restart()?;
                self.slot()?.ok_or_else(|| TokenError::Absent(self.label.clone()))?
            }
        };
        let text = private(&self.pin_file).map_err(Box::new)?;
        let pin = text.trim_end_matches(['\r', '\n']);
        let hash = muster_trust::sha256(pin.as_bytes());
        if *wrong == Some(hash) {
            return Err(TokenError::Pin);
        }
        let session = self.module.open_rw_session(slot)?;
        match session.login(UserType::User, Some(&pin.to_owned().into())) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                *wrong = Some(hash);
                Err(TokenError::Pin)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does something in an open session. One that fails is given up, and where `again` is said it is tried once more in a new one:
    /// the token may have been away.
    fn within<T>(&self, again: bool, work: impl Fn(&mut Open) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let mut state = self.state();
        let was_open = state.open.is_some();
        let first = self.within_once(&mut state, &work);
        match first {
            Err(TokenError::Refused(_) | TokenError::NoKey(_)) if again && was_open => {
                self.within_once(&mut state, &work)
            }
            other => other,
        }
    }

    fn within_once<T>(
        &self,
        state: &mut State,
        work: impl Fn(&mut Open) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let mut open = match state.open.take() {
            Some(open) => open,
            None => Open { session: self.session(&mut state.wrong)?, keys: BTreeMap::new() },
        };
        let done = work(&mut open);
        if !matches!(done, Err(TokenError::Refused(_) | TokenError::NoKey(_))) {
            state.open = Some(open);
        }
        done
    }

    /// The key of that id, where the token has it.
    ///
    /// # Errors
    /// See [`TokenError`]; also for a key that could leave the token.
    pub(crate) fn find(self: &Arc<Self>, id: &Hash) -> Result<Option<TokenKey>, TokenError> {
        let found = self.within(true, |open| match lookup(&open.session, id)? {
            None => Ok(None),
            Some((public, handle)) => {
                check_sealed(&open.session, id, handle)?;
                open.keys.insert(*id, handle);
                Ok(Some(public))
            }
        })?;
        Ok(found.map(|public| TokenKey { token: self.clone(), public }))
    }

    /// Makes a key in the token, which never leaves it. `label` is for people.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) fn make(self: &Arc<Self>, label: &str) -> Result<TokenKey, TokenError> {
        let mut id = [0; 16];
        muster_trust::random(&mut id).map_err(|_| TokenError::Curve)?;
        let common = [Attribute::Token(true), Attribute::Id(id.to_vec()), Attribute::Label(label.as_bytes().to_vec())];
        let public = [Attribute::EcParams(P256.to_vec()), Attribute::Verify(true), Attribute::Private(false)];
        let private = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Decrypt(false),
            Attribute::Derive(false),
            Attribute::Unwrap(false),
        ];
        // A key is made once and not tried again; that the session still is one is tried first.
        self.check()?;
        let made = self.within(false, |open| {
            let (public, private) = ([&common[..], &public].concat(), [&common[..], &private].concat());
            let (public, handle) = open.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
            let public = read_public(&open.session, public)?.ok_or(TokenError::Curve)?.0;
            check_sealed(&open.session, &public.id(), handle)?;
            Ok(public)
        })?;
        Ok(TokenKey { token: self.clone(), public: made })
    }

    /// Whether the token opens with the PIN.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) fn check(&self) -> Result<(), TokenError> {
        self.within(true, |open| Ok(open.session.get_session_info().map(drop)?))
    }

    fn sign(&self, public: &PublicKey, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let id = public.id();
        let digest = p256_digest(message);
        self.within(true, |open| {
            let handle = match open.keys.get(&id) {
                Some(handle) => *handle,
                None => {
                    let (_, handle) = lookup(&open.session, &id)?.ok_or(TokenError::NoKey(id))?;
                    check_sealed(&open.session, &id, handle)?;
                    open.keys.insert(id, handle);
                    handle
                }
            };
            let signature = open.session.sign(&Mechanism::Ecdsa, handle, &digest.0)?;
            // A token that computes wrongly must not be believed: one bad signature can give a key away.
            public.verify(message, &signature).map_err(|_| TokenError::WrongSignature)?;
            Ok(signature)
        })
    }
}

/// A public key, and the `CKA_ID` that it shares with its private half; `None` for a key of another kind.
fn read_public(session: &Session, handle: ObjectHandle) -> Result<Option<(PublicKey, Vec<u8>)>, TokenError> {
    let wanted = [AttributeType::EcParams, AttributeType::EcPoint, AttributeType::Id];
    let (mut curve, mut point, mut id) = (Vec::new(), Vec::new(), Vec::new());
    for attribute in session.get_attributes(handle, &wanted)? {
        match attribute {
            Attribute::EcParams(value) => curve = value,
            Attribute::EcPoint(value) => point = value,
            Attribute::Id(value) => id = value,
            _ => {}
        }
    }
    // The point is wrapped in an OCTET STRING; some tokens leave that out.
    let bare = point.strip_prefix(&[0x04, 0x41]).unwrap_or(&point);
    let public = PublicKey::from_point(bare).ok().filter(|_| curve == P256);
    Ok(public.map(|public| (public, id)))
}

/// The key of that id: its public half, and the handle of its private half.
fn lookup(session: &Session, id: &Hash) -> Result<Option<(PublicKey, ObjectHandle)>, TokenError> {
    let publics =
        session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::KeyType(KeyType::EC)])?;
    for handle in publics.into_iter().take(KEYS) {
        let Some((public, shared)) = read_public(session, handle)? else { continue };
        if public.id() != *id {
            continue;
        }
        let wanted =
            [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::EC), Attribute::Id(shared)];
        if let Some(private) = session.find_objects(&wanted)?.into_iter().next() {
            return Ok(Some((public, private)));
        }
    }
    Ok(None)
}

/// A key that can be read or wrapped is no better than a file, and looks as if it were.
fn check_sealed(session: &Session, id: &Hash, handle: ObjectHandle) -> Result<(), TokenError> {
    let found = session.get_attributes(handle, &[AttributeType::Sensitive, AttributeType::Extractable])?;
    let sealed = found.contains(&Attribute::Sensitive(true)) && found.contains(&Attribute::Extractable(false));
    if sealed { Ok(()) } else { Err(TokenError::Extractable(*id)) }
}

/// A key in a token.
#[derive(Debug, Clone)]
pub(crate) struct TokenKey {
    token: Arc<Token>,
    public: PublicKey,
}

impl Signer for TokenKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.token.sign(&self.public, message).map_err(|error| {
            metrics::counter!("muster_pkcs11_failures_total").increment(1);
            tracing::error!(%error, token = self.token.label, "A key in a PKCS#11 token did not sign.");
            KeyError::Hardware
        })
    }
}

#[cfg(test)]
mod tests {
    //! With SoftHSM, a whole PKCS#11 module in software. It finds its tokens by its environment, so the test starts itself in one.

    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
    const PIN: &str = "8642";

    fn write_pin(dir: &Path, pin: &str) {
        fs::write(dir.join("pin"), format!("{pin}\n")).unwrap();
        fs::set_permissions(dir.join("pin"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Makes the token "site", and runs the test named `test` again where it is found.
    fn within_softhsm(test: &str) {
        if !Path::new(MODULE).exists() {
            crate::testing::skip("keys in a PKCS#11 token", "the Debian package softhsm2 is missing");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tokens")).unwrap();
        let config = dir.path().join("softhsm2.conf");
        fs::write(&config, format!("directories.tokendir = {}\n", dir.path().join("tokens").display())).unwrap();
        let init = ["--init-token", "--free", "--label", "site", "--so-pin", "12345678", "--pin", PIN];
        let made = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &config).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        write_pin(dir.path(), PIN);
        let ran = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("SOFTHSM2_CONF", &config)
            .env("MUSTER_TEST_TOKEN", dir.path())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"), "the test has another name");
    }

    fn open(dir: &Path, label: &str) -> Arc<Token> {
        Token::new(Path::new(MODULE), label, dir.join("pin")).unwrap()
    }

    #[test]
    fn a_key_in_a_token_signs_and_does_not_leave_it() {
        let Some(dir) = std::env::var_os("MUSTER_TEST_TOKEN").map(PathBuf::from) else {
            return within_softhsm("pkcs11::tests::a_key_in_a_token_signs_and_does_not_leave_it");
        };
        let token = open(&dir, "site");
        let key = token.make("muster policy").unwrap();
        let id = key.public().id();
        let signature = key.sign(b"message").unwrap();
        key.public().verify(b"message", &signature).unwrap();
        // Found again by its id alone, by whoever opens the token; another's is not there.
        let again = open(&dir, "site").find(&id).unwrap().unwrap();
        again.public().verify(b"more", &again.sign(b"more").unwrap()).unwrap();
        assert!(token.find(&Hash([7; 32])).unwrap().is_none());
        // Who looked for a token that is absent has started the module anew, which ended the session of this one.
        assert!(matches!(open(&dir, "other").find(&id), Err(TokenError::Absent(_))));
        token.check().unwrap();

        // It cannot be read, nor opened up, nor wrapped with a key of the thief's.
        token
            .within(false, |open| {
                let (_, private) = lookup(&open.session, &id)?.unwrap();
                let value = open.session.get_attributes(private, &[AttributeType::Value]);
                assert!(value.map_or(true, |value| value.is_empty()), "the private value can be read");
                for change in [Attribute::Extractable(true), Attribute::Sensitive(false)] {
                    assert!(open.session.update_attributes(private, &[change]).is_err());
                }
                let wrapping = [Attribute::Token(false), Attribute::Wrap(true), Attribute::ValueLen(32.into())];
                let wrapping = open.session.generate_key(&Mechanism::AesKeyGen, &wrapping)?;
                assert!(open.session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, private).is_err());
                Ok(())
            })
            .unwrap();

        // One that could be taken out is not used, whoever put it there.
        let open_key = token
            .within(false, |open| {
                let common = [Attribute::Token(true), Attribute::Id(vec![9])];
                let public = [&common[..], &[Attribute::EcParams(P256.to_vec())]].concat();
                let private = [&common[..], &[Attribute::Sign(true), Attribute::Extractable(true)]].concat();
                let (public, _) = open.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
                Ok(read_public(&open.session, public)?.unwrap().0.id())
            })
            .unwrap();
        assert!(matches!(token.find(&open_key), Err(TokenError::Extractable(found)) if found == open_key));

        // When the session is lost under it, what is signed next is signed in a new one.
        token.within(false, |open| Ok(open.session.logout()?)).unwrap();
        key.public().verify(b"after", &key.sign(b"after").unwrap()).unwrap();
    }

    #[test]
    fn a_wrong_pin_is_tried_once_and_an_exposed_one_never() {
        let Some(dir) = std::env::var_os("MUSTER_TEST_TOKEN").map(PathBuf::from) else {
            return within_softhsm("pkcs11::tests::a_wrong_pin_is_tried_once_and_an_exposed_one_never");
        };
        let token = open(&dir, "site");
        fs::set_permissions(dir.join("pin"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(token.check(), Err(TokenError::PinFile(_))));
        write_pin(&dir, "1357");
        for _ in 0..20 {
            assert!(matches!(token.check(), Err(TokenError::Pin)));
        }
        write_pin(&dir, PIN);
        token.check().unwrap();
        assert!(!format!("{token:?}").contains(PIN));
        assert!(matches!(
            Token::new(Path::new("/nonexistent.so"), "site", dir.join("pin")),
            Err(TokenError::Module { .. })
        ));
    }
}
