//! What differs between operating systems. Each system has a folder with a `Machine` of the same methods, which return
//! the portable [`facts`]; nothing outside this folder knows where a fact came from.

pub mod facts;
pub mod pe;
pub mod smbios;

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "linux")]
pub use linux::{
    Machine, account, be_nice, claims,
    claims::serial_number,
    contents,
    directory::{DirectoryError, PrivateDirectory, open_foreign},
    files::open_in_root,
    is_root,
    local_socket::{local_socket, own_user},
    memory::give_memory_back,
    network, process, scan,
    volatile::{volatile_directory, volatile_find, volatile_sweep},
    workplace::Workplace,
    writable, write_filter,
};
