//! The wire format of every record: what is written is read back, by both ways of reading, and
//! neither the bytes nor the committed schemas change by accident.

#[cfg(test)]
mod codec;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod history;
#[cfg(test)]
mod records;
#[cfg(test)]
mod round_trip;
