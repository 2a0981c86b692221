//! What a TPM says of a key that it holds (`TPMS_ATTEST` of `TPM2_Certify`), and the attestation key's signature over it.

use super::{
    AttestationError,
    public::{SigningArea, coordinate},
    wire::Reader,
};
use muster_model::id::Hash;

/// The first bytes of everything that a TPM itself has made; a restricted key signs nothing foreign that begins with them.
const GENERATED: u32 = 0xff54_4347;
const CERTIFY: u16 = 0x8017;
const ALG_ECDSA: u16 = 0x0018;
const ALG_SHA256: u16 = 0x000b;
/// Bytes of the TPM's clock and firmware version, which say nothing here.
const CLOCK_AND_FIRMWARE: usize = 17 + 8;

/// Whether `statement`, signed by `attestation`, says that its TPM holds `device`, for this nonce.
pub(super) fn verify(
    statement: &[u8],
    signature: &[u8],
    attestation: &SigningArea,
    device: &SigningArea,
    nonce: &Hash,
) -> Result<(), AttestationError> {
    attestation.key.verify(statement, &read_signature(signature)?).map_err(|_| AttestationError::Signature)?;
    let mut reader = Reader::new(statement);
    if (reader.u32()?, reader.u16()?) != (GENERATED, CERTIFY) {
        return Err(AttestationError::Statement);
    }
    let _qualified_signer = reader.sized()?;
    let extra = reader.sized()?;
    reader.take(CLOCK_AND_FIRMWARE)?;
    let (name, _qualified_name) = (reader.sized()?, reader.sized()?);
    reader.end()?;
    if name != device.name {
        return Err(AttestationError::Statement);
    }
    if extra != nonce.0 {
        return Err(AttestationError::Nonce);
    }
    Ok(())
}

/// `TPMT_SIGNATURE` of ECDSA with SHA-256 as 64 bytes, `r || s`.
///
/// # Errors
/// [`AttestationError::Malformed`].
pub fn read_signature(signature: &[u8]) -> Result<[u8; 64], AttestationError> {
    let mut reader = Reader::new(signature);
    if (reader.u16()?, reader.u16()?) != (ALG_ECDSA, ALG_SHA256) {
        return Err(AttestationError::Malformed);
    }
    let (r, s) = (coordinate(reader.sized()?)?, coordinate(reader.sized()?)?);
    reader.end()?;
    let mut fixed = [0; 64];
    fixed[..32].copy_from_slice(&r);
    fixed[32..].copy_from_slice(&s);
    Ok(fixed)
}
