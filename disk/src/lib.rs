//! The file seam: every byte that Forebay keeps on disk goes through [`Disk`]. Knows files and directories, never what is in them.
