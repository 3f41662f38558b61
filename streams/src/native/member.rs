//! Who the group says this consumer is.

use std::{ffi::CStr, ptr::NonNull};

use rdkafka::{
    bindings as c,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
};

/// The id that the group has given this consumer; none before it has joined, or after the group has
/// thrown it out.
///
/// It stays the same for as long as the membership does, rebalances included. The safe API has the
/// group's metadata, and no way to look into it. Held by `a_consumer_without_a_group_is_nobody` and, with a
/// group, by `every_output_is_there_once_whatever_is_killed`.
pub fn member_id<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<String> {
    let client = consumer.client().native_ptr();
    // SAFETY: the consumer is borrowed, so its client is alive; it is one of the high-level kind.
    let id = NonNull::new(unsafe { c::rd_kafka_memberid(client) })?;
    // SAFETY: the library gave a text that ends with a NUL and is ours until it is given back.
    let text = unsafe { CStr::from_ptr(id.as_ptr()) }.to_string_lossy().into_owned();
    // SAFETY: it was allocated by the library, and nobody keeps the address.
    unsafe { c::rd_kafka_mem_free(client, id.as_ptr().cast()) };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use rdkafka::{ClientConfig, consumer::BaseConsumer};

    use super::member_id;

    #[test]
    fn a_consumer_without_a_group_is_nobody() {
        let mut config = ClientConfig::new();
        config.set("group.id", "group").set("bootstrap.servers", "127.0.0.1:1");
        let consumer: BaseConsumer = config.create().unwrap();
        assert_eq!(member_id(&consumer), None);
    }
}
