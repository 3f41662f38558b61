#![no_main]

libfuzzer_sys::fuzz_target!(init: signatures_fuzz::start("plain"), |data: &[u8]| {
    signatures_fuzz::targets::run("plain", data);
});
