//! The contract, on the store without a disk.

tessera_storage::store_contract!((tessera_storage::MemoryStore::default(), ()));
