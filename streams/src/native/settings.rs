//! Changing some settings of a topic and leaving the others.

use std::{
    ffi::{CStr, CString, c_char},
    ptr::{self, NonNull},
    slice,
    time::Duration,
};

use rdkafka::{
    bindings as c,
    client::{Client, ClientContext},
    types::{RDKafka, RDKafkaErrorCode, RDKafkaRespErr},
};

use super::{millis, queue::Queue};

/// Longer than the request may take, so that its time-out comes as an answer.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// Why settings could not be changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct AlterError {
    /// The broker's or the library's code.
    pub code: RDKafkaErrorCode,
    /// Its words.
    pub message: String,
}

impl AlterError {
    fn new(code: RDKafkaErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Sets some settings of a topic, and leaves all others as they are; with `validate_only` it is only
/// said whether the broker would.
///
/// Waits up to `timeout` for the answer, on this thread. The safe `alter_configs` takes back every
/// setting that it does not name: on a changelog that loses data. Held by
/// `other_settings_of_a_topic_stay_as_they_are`.
pub fn alter_topic_settings<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    settings: &[(&str, &str)],
    validate_only: bool,
    timeout: Duration,
) -> Result<(), AlterError> {
    let client = client.native_ptr();
    let resource = Resource::new(topic, settings)?;
    // SAFETY: the client is borrowed for the whole call, and outlives both.
    let (options, queue) =
        unsafe { (Options::new(client, validate_only, timeout)?, Queue::new(client)) };
    // SAFETY: all of them are alive; the array of one resource is only read, and copied.
    unsafe {
        let mut resources = [resource.0.as_ptr()];
        let (start, count) = (resources.as_mut_ptr(), resources.len());
        c::rd_kafka_IncrementalAlterConfigs(
            client,
            start,
            count,
            options.0.as_ptr(),
            queue.as_ptr(),
        );
    }
    let patience = millis(timeout.saturating_add(ANSWER_GRACE));
    // SAFETY: the queue is alive; the answer is null or an event that is ours.
    let event = unsafe { c::rd_kafka_queue_poll(queue.as_ptr(), patience) };
    let Some(event) = NonNull::new(event).map(Event) else {
        return Err(AlterError::new(RDKafkaErrorCode::OperationTimedOut, "no answer came"));
    };
    event.outcome()
}

struct Resource(NonNull<c::rd_kafka_ConfigResource_t>);

impl Resource {
    fn new(topic: &str, settings: &[(&str, &str)]) -> Result<Self, AlterError> {
        let name = text(topic)?;
        let kind = c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: the name ends with a NUL and is copied.
        let resource = unsafe { c::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
        let resource = NonNull::new(resource).map(Self);
        let resource = resource
            .ok_or_else(|| AlterError::new(RDKafkaErrorCode::InvalidTopic, "the name is empty"))?;
        for (key, value) in settings {
            let (key, value) = (text(key)?, text(value)?);
            let set = c::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
            // SAFETY: the resource is alive; both texts end with a NUL and are copied.
            let error = unsafe {
                c::rd_kafka_ConfigResource_add_incremental_config(
                    resource.0.as_ptr(),
                    key.as_ptr(),
                    set,
                    value.as_ptr(),
                )
            };
            if let Some(error) = NonNull::new(error) {
                // SAFETY: the error is ours; its text belongs to it and is copied before it is freed.
                return Err(unsafe {
                    let code = c::rd_kafka_error_code(error.as_ptr());
                    let message = words(c::rd_kafka_error_string(error.as_ptr()));
                    c::rd_kafka_error_destroy(error.as_ptr());
                    AlterError::new(code.into(), message)
                });
            }
        }
        Ok(resource)
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        // SAFETY: ours, and not used any more.
        unsafe { c::rd_kafka_ConfigResource_destroy(self.0.as_ptr()) }
    }
}

struct Options(NonNull<c::rd_kafka_AdminOptions_t>);

impl Options {
    /// # Safety
    ///
    /// `client` must be alive until the options have been dropped.
    unsafe fn new(
        client: *mut RDKafka,
        validate_only: bool,
        timeout: Duration,
    ) -> Result<Self, AlterError> {
        let call = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        // SAFETY: the caller vouches for the client.
        let options = unsafe { c::rd_kafka_AdminOptions_new(client, call) };
        let options = NonNull::new(options).map(Self);
        let options =
            options.ok_or_else(|| AlterError::new(RDKafkaErrorCode::Fail, "no such call"))?;
        let (no_text, no_room) = (ptr::null_mut(), 0);
        // SAFETY: the options are alive; a place for the library's words may be missing.
        let codes = unsafe {
            let options = options.0.as_ptr();
            let validate_only = validate_only.into();
            [
                c::rd_kafka_AdminOptions_set_request_timeout(
                    options,
                    millis(timeout),
                    no_text,
                    no_room,
                ),
                c::rd_kafka_AdminOptions_set_validate_only(
                    options,
                    validate_only,
                    no_text,
                    no_room,
                ),
            ]
        };
        let failed = |code: &RDKafkaRespErr| *code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        match codes.into_iter().find(failed) {
            Some(code) => Err(AlterError::new(code.into(), "the time-out is out of range")),
            None => Ok(options),
        }
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, and not used any more.
        unsafe { c::rd_kafka_AdminOptions_destroy(self.0.as_ptr()) }
    }
}

struct Event(NonNull<c::rd_kafka_event_t>);

impl Event {
    /// The answer to the only question that the queue was given for.
    fn outcome(&self) -> Result<(), AlterError> {
        let event = self.0.as_ptr();
        // SAFETY: the event is alive; its text belongs to it and is copied.
        let (code, message) = unsafe {
            (c::rd_kafka_event_error(event), words(c::rd_kafka_event_error_string(event)))
        };
        refuse(code, message)?;
        // SAFETY: the event is alive; it gives null when it is of another kind.
        let result = unsafe { c::rd_kafka_event_IncrementalAlterConfigs_result(event) };
        if result.is_null() {
            return Err(AlterError::new(RDKafkaErrorCode::Fail, "an answer to another question"));
        }
        let mut count = 0;
        // SAFETY: the result is part of the event; it gives the start of `count` addresses, or null
        // when there are none.
        let resources = unsafe {
            let start =
                c::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
            if start.is_null() { &[] } else { slice::from_raw_parts(start, count) }
        };
        if resources.is_empty() {
            return Err(AlterError::new(RDKafkaErrorCode::Fail, "an answer without the topic"));
        }
        resources.iter().try_for_each(|resource| {
            // SAFETY: each resource is part of the result; so is its text, which is copied.
            let (code, message) = unsafe {
                let message = words(c::rd_kafka_ConfigResource_error_string(*resource));
                (c::rd_kafka_ConfigResource_error(*resource), message)
            };
            refuse(code, message)
        })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing borrows from it any more.
        unsafe { c::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

fn refuse(code: RDKafkaRespErr, message: String) -> Result<(), AlterError> {
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(AlterError::new(code.into(), message)),
    }
}

fn text(text: &str) -> Result<CString, AlterError> {
    CString::new(text).map_err(|_| {
        AlterError::new(RDKafkaErrorCode::InvalidArgument, format!("{text:?} has a NUL in it"))
    })
}

/// # Safety
///
/// `text` must be null or end with a NUL.
unsafe fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for the text.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
