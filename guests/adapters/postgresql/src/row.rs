//! One row of an answer, its cells in order. All of it is in binary format.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, DataRowRanges};

/// What is wrong with a row.
const STRANGE: &str = "the server's answer makes no sense";

/// The cells of a row that are left.
pub(crate) struct Cells<'a> {
    buffer: &'a [u8],
    ranges: DataRowRanges<'a>,
}

impl<'a> Cells<'a> {
    pub(crate) fn of(body: &'a DataRowBody) -> Self {
        Self {
            buffer: body.buffer(),
            ranges: body.ranges(),
        }
    }

    /// The next cell, unless it is null.
    pub(crate) fn bytes(&mut self) -> Result<Option<&'a [u8]>, String> {
        let range = self.ranges.next().ok().flatten().ok_or(STRANGE)?;
        range
            .map(|range| self.buffer.get(range).ok_or_else(|| STRANGE.to_owned()))
            .transpose()
    }

    pub(crate) fn text(&mut self) -> Result<Option<&'a str>, String> {
        let bytes = self.bytes()?;
        bytes
            .map(|bytes| std::str::from_utf8(bytes).map_err(|_| STRANGE.to_owned()))
            .transpose()
    }

    /// A number of 4 or 8 bytes that is not negative.
    pub(crate) fn number(&mut self) -> Result<Option<u64>, String> {
        let Some(bytes) = self.bytes()? else { return Ok(None) };
        let number = match *bytes {
            [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => return Err(STRANGE.into()),
        };
        u64::try_from(number).map(Some).map_err(|_| STRANGE.into())
    }

    pub(crate) fn flag(&mut self) -> Result<Option<bool>, String> {
        match self.bytes()? {
            None => Ok(None),
            Some([0]) => Ok(Some(false)),
            Some([1]) => Ok(Some(true)),
            Some(_) => Err(STRANGE.into()),
        }
    }

    /// A cell that is never null.
    pub(crate) fn there<T>(cell: Option<T>) -> Result<T, String> {
        cell.ok_or_else(|| STRANGE.to_owned())
    }
}
