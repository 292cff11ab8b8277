//! What only Unix knows of files and folders. There, only the owner may use them: folders have the mode 0700 and files 0600. On other
//! systems these functions restrict nothing and find nothing wrong.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// What tells one folder from another, if both exist: device and inode on Unix.
pub(super) type Identity = (u64, u64);

#[cfg(unix)]
mod platform {
    use std::fs::Permissions;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

    use super::{DirBuilder, File, Identity, Metadata, OpenOptions, Path, io};

    /// The mode bits of the group and of all other users.
    const OTHERS: u32 = 0o077;

    /// Returns a builder of folders that only the owner can use.
    pub(in super::super) fn folder_builder() -> DirBuilder {
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder
    }

    /// Returns options to create files that only the owner can use.
    pub(in super::super) fn file_options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.mode(0o600);
        options
    }

    /// Opens a folder, so that it can be flushed and told from others. Returns `None` if the system has no such thing.
    pub(in super::super) fn open_folder(path: &Path) -> io::Result<Option<File>> {
        File::open(path).map(Some)
    }

    pub(in super::super) fn identity(metadata: &Metadata) -> Identity {
        (metadata.dev(), metadata.ino())
    }

    /// Returns the ID of the user that owns the file or folder.
    pub(in super::super) fn owner(metadata: &Metadata) -> u32 {
        metadata.uid()
    }

    /// Returns whether the group or other users have any permission.
    pub(in super::super) fn is_open_to_others(metadata: &Metadata) -> bool {
        metadata.mode() & OTHERS != 0
    }

    /// Takes all permissions from the group and from other users.
    pub(in super::super) fn restrict_to_owner(file: &File, metadata: &Metadata) -> io::Result<()> {
        match is_open_to_others(metadata) {
            true => file.set_permissions(Permissions::from_mode(metadata.mode() & 0o600)),
            false => Ok(()),
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use super::{DirBuilder, File, Identity, Metadata, OpenOptions, Path, io};

    pub(in super::super) fn folder_builder() -> DirBuilder {
        DirBuilder::new()
    }

    pub(in super::super) fn file_options() -> OpenOptions {
        OpenOptions::new()
    }

    pub(in super::super) fn open_folder(_: &Path) -> io::Result<Option<File>> {
        Ok(None)
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

    pub(in super::super) fn restrict_to_owner(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }
}

pub(super) use platform::{
    file_options, folder_builder, identity, is_open_to_others, open_folder, owner, restrict_to_owner,
};
