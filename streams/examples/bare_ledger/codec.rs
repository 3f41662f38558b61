//! Confluent's frame around Avro, straight from and to structs.

use anyhow::{Context as _, Result, ensure};
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{AvroSchema as _, Schema};

use crate::balance::{BALANCE_SCHEMA_ID, BalanceUpdated};
use crate::bank::{BankTransaction, TRANSACTION_SCHEMA_ID};

/// Reads the input and writes the output.
pub(crate) struct Codec {
    reader: GenericDatumReader<'static>,
    writer: GenericDatumWriter<'static>,
    buffer: Vec<u8>,
}

impl Codec {
    pub(crate) fn new() -> Result<Self> {
        let keep = |schema: Schema| -> &'static Schema { Box::leak(Box::new(schema)) };
        Ok(Self {
            reader: GenericDatumReader::builder(keep(BankTransaction::get_schema())).build()?,
            writer: GenericDatumWriter::builder(keep(BalanceUpdated::get_schema())).build()?,
            buffer: Vec::new(),
        })
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<BankTransaction> {
        let (head, mut datum) =
            bytes.split_first_chunk::<5>().context("a value without a frame")?;
        let [_, id @ ..] = *head;
        let id = u32::from_be_bytes(id);
        ensure!(id == TRANSACTION_SCHEMA_ID, "schema id {id}; expected {TRANSACTION_SCHEMA_ID}");
        self.reader.read_deser(&mut datum).context("decoding a transaction")
    }

    pub(crate) fn encode(&mut self, value: &BalanceUpdated) -> Result<&[u8]> {
        self.buffer.clear();
        self.buffer.push(0);
        self.buffer.extend_from_slice(&BALANCE_SCHEMA_ID.to_be_bytes());
        self.writer.write_ser(&mut self.buffer, value).context("encoding a balance")?;
        Ok(&self.buffer)
    }
}
