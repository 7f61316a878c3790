#![no_main]
shardwright_fuzz::target!("component");
