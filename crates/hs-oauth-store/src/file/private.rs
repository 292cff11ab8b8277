//! What only the owner may touch: modes on Unix, nothing elsewhere.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;

/// Tells a folder from another at the same path.
pub(super) type Identity = (u64, u64);

#[cfg(unix)]
mod modes {
    use std::fs::Permissions;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

    use super::{DirBuilder, File, Identity, Metadata, OpenOptions, io};

    const OTHERS: u32 = 0o077;

    pub(in super::super) fn folder() -> DirBuilder {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder
    }

    pub(in super::super) fn file() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.mode(0o600);
        options
    }

    pub(in super::super) fn identity(metadata: &Metadata) -> Identity {
        (metadata.dev(), metadata.ino())
    }

    pub(in super::super) fn owner(metadata: &Metadata) -> u32 {
        metadata.uid()
    }

    pub(in super::super) fn is_open_to_others(metadata: &Metadata) -> bool {
        metadata.mode() & OTHERS != 0
    }

    pub(in super::super) fn tighten(file: &File, metadata: &Metadata) -> io::Result<()> {
        match is_open_to_others(metadata) {
            true => file.set_permissions(Permissions::from_mode(metadata.mode() & 0o600)),
            false => Ok(()),
        }
    }
}

#[cfg(not(unix))]
mod modes {
    use super::{DirBuilder, File, Identity, Metadata, OpenOptions, io};

    pub(in super::super) fn folder() -> DirBuilder {
        DirBuilder::new()
    }

    pub(in super::super) fn file() -> OpenOptions {
        OpenOptions::new()
    }

    pub(in super::super) fn identity(_: &Metadata) -> Identity {
        (0, 0)
    }

    pub(in super::super) fn owner(_: &Metadata) -> u32 {
        0
    }

    pub(in super::super) fn is_open_to_others(_: &Metadata) -> bool {
        false
    }

    pub(in super::super) fn tighten(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }
}

pub(super) use modes::{file, folder, identity, is_open_to_others, owner, tighten};
