-- An answer in mode `fallback` holds until there is another: a payment on which the detector failed was answered
-- `review`, and gets its decision when its dead letter is replayed, perhaps at a higher offset or in another partition.
-- Offsets leave the highest bit free: it is clear for a fallback, which so gives way to any other answer.
ALTER TABLE decisions MODIFY COLUMN precedence UInt64
    MATERIALIZED if(mode = 'fallback', bitXor(bitNot(toUInt64(record_offset)), bitShiftLeft(toUInt64(1), 63)), bitNot(toUInt64(record_offset)))
    COMMENT 'Larger for a lower offset, and smaller for a fallback: of several answers to one payment the first that is none counts'
    CODEC(Delta, ZSTD(1));
