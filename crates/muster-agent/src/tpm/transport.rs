//! How commands reach a TPM: the kernel's resource manager, or the socket of a software TPM that the configuration names.

use super::TpmError;
use std::{
    fs::File,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Bytes of a response; the standard's buffers have no more.
const RESPONSE_BYTES: usize = 4096;
/// Bytes before a response's parameters: tag, size, code.
const HEAD_BYTES: usize = 10;
/// How long a software TPM may take. The kernel has limits of its own for a chip.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open way to a TPM.
#[derive(Debug)]
pub(super) enum Transport {
    /// `/dev/tpmrm0`: one write is a command, one read its response.
    Device(File),
    /// A software TPM on a local socket.
    Unix(UnixStream),
    /// A software TPM on a TCP port.
    Tcp(TcpStream),
}

impl Transport {
    /// Opens `place`: the path of a device or socket, or `tcp:host:port`.
    pub(super) fn open(place: &str) -> io::Result<Self> {
        if let Some(address) = place.strip_prefix("tcp:") {
            let stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Self::Tcp(stream));
        }
        if let Some(path) = place.strip_prefix("unix:") {
            let stream = UnixStream::connect(Path::new(path))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Self::Unix(stream));
        }
        File::options().read(true).write(true).open(place).map(Self::Device)
    }

    /// Whether objects that another program left behind are this program's matter: there is no resource manager.
    pub(super) fn is_bare(&self) -> bool {
        !matches!(self, Self::Device(_))
    }

    /// Sends a command; the whole response, with its head.
    pub(super) fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        match self {
            Self::Device(device) => {
                device.write_all(command)?;
                let mut response = vec![0; RESPONSE_BYTES];
                let got = device.read(&mut response)?;
                response.truncate(got);
                if got < HEAD_BYTES || size(&response) != Some(got) {
                    return Err(TpmError::Malformed);
                }
                Ok(response)
            }
            Self::Unix(stream) => over_stream(stream, command),
            Self::Tcp(stream) => over_stream(stream, command),
        }
    }
}

fn over_stream(stream: &mut (impl Read + Write), command: &[u8]) -> Result<Vec<u8>, TpmError> {
    stream.write_all(command)?;
    let mut response = vec![0; HEAD_BYTES];
    stream.read_exact(&mut response)?;
    let size = size(&response).filter(|size| (HEAD_BYTES..=RESPONSE_BYTES).contains(size));
    response.resize(size.ok_or(TpmError::Malformed)?, 0);
    stream.read_exact(&mut response[HEAD_BYTES..])?;
    Ok(response)
}

fn size(response: &[u8]) -> Option<usize> {
    let bytes = response.get(2..6)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}
