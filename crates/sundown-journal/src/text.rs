//! JSON that is kept as it came.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::store::Record;

/// The payload of a job as the journal has it. Into JSON it goes word for word.
pub(crate) struct Payload(pub(crate) Arc<Record>);

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.payload.serialize(serializer)
    }
}

/// A checkpoint, likewise.
#[derive(Clone, Debug)]
pub(crate) struct Text(pub(crate) Arc<RawValue>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Runs the value's own code.
pub(crate) fn to_text(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Arc<RawValue>> {
    serde_json::value::to_raw_value(value).map(Arc::from)
}
