//! A fleet on disk: what it knows of its site, and one line a device.

use super::{
    device::{Device, Kept},
    error::FleetError,
    http::Target,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{BufRead, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const FLEET: &str = "fleet.json";
const DEVICES: &str = "devices.jsonl";

/// Devices of one site.
#[derive(Debug)]
pub struct Fleet {
    /// The seed of everything that varies.
    pub seed: u64,
    /// The root's certificate, DER.
    pub root: Vec<u8>,
    /// Where the devices report.
    pub management_point: Target,
    /// Its URL.
    pub url: String,
    /// The devices, by number.
    pub devices: Vec<Device>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    seed: u64,
    root: String,
    management_point: String,
}

impl Fleet {
    /// Reads a fleet.
    ///
    /// # Errors
    /// [`FleetError::File`] and others.
    pub fn read(dir: &Path) -> Result<Self, FleetError> {
        let path = dir.join(FLEET);
        let text = fs::read(&path).map_err(|error| FleetError::file(&path, error))?;
        let header: Header = serde_json::from_slice(&text)?;
        let path = dir.join(DEVICES);
        let file = fs::File::open(&path).map_err(|error| FleetError::file(&path, error))?;
        let mut devices = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| FleetError::file(&path, error))?;
            devices.push(Device::from_kept(serde_json::from_str::<Kept>(&line)?)?);
        }
        Ok(Self {
            seed: header.seed,
            root: BASE64.decode(&header.root).map_err(|error| FleetError::Unusable(error.to_string()))?,
            management_point: Target::parse(&header.management_point)?,
            url: header.management_point,
            devices,
        })
    }

    /// Writes a fleet. The files hold the simulated devices' keys and are readable by their owner alone.
    ///
    /// # Errors
    /// [`FleetError::File`].
    pub fn write(&self, dir: &Path) -> Result<(), FleetError> {
        fs::create_dir_all(dir).map_err(|error| FleetError::file(dir, error))?;
        let header = Header { seed: self.seed, root: BASE64.encode(&self.root), management_point: self.url.clone() };
        write(&dir.join(FLEET), |file| Ok(serde_json::to_writer_pretty(file, &header)?))?;
        write(&dir.join(DEVICES), |file| {
            for device in &self.devices {
                serde_json::to_writer(&mut *file, &device.keep())?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })
    }
}

fn write(path: &Path, fill: impl FnOnce(&mut BufWriter<fs::File>) -> std::io::Result<()>) -> Result<(), FleetError> {
    let failed = |error| FleetError::file(path, error);
    let new = path.with_extension("new");
    let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new).map_err(failed)?;
    let mut file = BufWriter::new(file);
    fill(&mut file).and_then(|()| file.flush()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}
