# SPDX-License-Identifier: Apache-2.0
"""What an H100 SXM answers by number: fields, GPM metrics, ECC counters. The ids are those of `nvml.h` (CUDA 13.3)."""

Number = int | float
Fields = dict[int | tuple[int, int], Number]  # by id, or by id and scope

ALL_LINKS = 0xFFFFFFFF  # the scope of a field that is summed over all links

FIELDS: Fields = {
    31: 0,  # retired pages pending
    74: 5_000_000_000,  # nanoseconds throttled: power cap
    75: 1_000_000_000,  # thermal
    76: 0,  # sync boost
    142: 1,  # rows remapped: corrected, uncorrected, pending, failure
    143: 0,
    144: 0,
    145: 0,
    169: 2,  # PCIe L0 to recovery
    **dict.fromkeys(range(173, 184), 0),  # PCIe errors
    191: 123_456_789,  # energy, mJ
    193: -8,  # degrees from shutdown, slowdown, memory and GPU maximum
    194: -2,
    195: 0,
    196: 0,
    197: 987_654_321_000,  # PCIe bytes sent, received
    198: 123_456_789_000,
    230: 0,  # recovery action: none
    269: 2_000_000_000,  # nanoseconds throttled: software thermal, hardware thermal, power brake
    270: 0,
    271: 0,
}

FIELD_TYPES = dict.fromkeys((193, 194, 195, 196), 5) | dict.fromkeys((142, 143, 144, 145, 230), 1)


def nvlink4(links: int) -> Fields:
    """Give the KiB of each link, data and with the protocol, sent and received, and of all; and its errors."""
    given: Fields = {}
    for field, first in ((138, 1_000), (139, 2_000), (140, 1_100), (141, 2_200)):
        given |= {(field, link): (first + link) << 20 for link in range(links)}
        given[field, ALL_LINKS] = sum((first + link) << 20 for link in range(links))
    given |= {(field, link): 0 for field in (161, 162, 163) for link in range(links)}  # replay, recovery, CRC
    given |= {(165, link): 1 for link in range(links)}  # state
    return given


def nvlink5(links: int) -> Fields:
    """Give the packets, bytes and errors of each link."""
    moved = {201: 10_000, 202: 5_000_000, 203: 20_000, 204: 7_000_000}
    given: Fields = {(field, link): value + link for field, value in moved.items() for link in range(links)}
    errors = (*range(206, 216), 219, 221)
    given |= {(field, link): 0 for field in errors for link in range(links)}
    given |= {(field, link): 0 for field in (220, 222) for link in range(links)}  # bit error rates
    given |= {(165, link): 1 for link in range(links)}
    return given


GPM: dict[int, Number] = {
    1: 87.5,  # percent: graphics, SM, occupancy, integer
    2: 76.25,
    3: 41.5,
    4: 12.5,
    5: 55.5,  # tensor: any, DFMA, HMMA, DMMA, IMMA
    6: 0.5,
    7: 50.25,
    8: 0.25,
    9: 4.75,
    10: 63.5,  # DRAM bandwidth
    11: 1.5,  # FP64, FP32, FP16
    12: 22.5,
    13: 33.5,
    20: 1024.0,  # MiB/s: PCIe sent, received
    21: 2048.0,
    30: 6.0,  # percent: decoders, JPEG, OFA
    40: 7.0,
    50: 8.0,
    60: 300_000.0,  # MiB/s: NVLink received, sent
    61: 310_000.0,
    170: 1_000_000.0,  # context switches: cycles elapsed, cycles active, requests, cycles per request, percent
    171: 20_000.0,
    172: 400.0,
    173: 50.0,
    174: 2.0,
    248: 4_000_000.0,  # cycles: elapsed, SM, MMA, DMMA, HMMA, IMMA, DFMA
    249: 3_050_000.0,
    250: 2_220_000.0,
    251: 10_000.0,
    252: 2_010_000.0,
    253: 190_000.0,
    254: 20_000.0,
    255: 107_374_182.0,  # bytes: PCIe sent, received
    256: 214_748_364.0,
    257: 500_000.0,  # cycles: integer, FP64, FP32, FP16
    258: 60_000.0,
    259: 900_000.0,
    260: 1_340_000.0,
}

INSTANCE_GPM: dict[int, Number] = {
    **{i: GPM[i] / 2 for i in (*range(1, 14), *range(170, 175), *range(248, 255))},
    20: 64.0,
    21: 128.0,
}

# By type (corrected, uncorrected), counter (volatile, aggregate) and location (2 DRAM, 7 SRAM); without a location, the total.
ECC: dict[tuple[int, ...], int] = {
    (0, 0): 3,
    (0, 0, 2): 2,
    (0, 0, 7): 1,
    (0, 1): 30,
    (0, 1, 2): 20,
    (0, 1, 7): 10,
    (1, 0): 0,
    (1, 0, 2): 0,
    (1, 0, 7): 0,
    (1, 1): 1,
    (1, 1, 2): 1,
    (1, 1, 7): 0,
}

# By NVML_GPU_INSTANCE_PROFILE_*: id, slices, instances, SMs, copy engines, decoders, encoders, JPEGs, OFAs, MiB, memory
# slices, and the memory slices at which an instance can begin.
MIG_PROFILES: dict[int, tuple[int, ...]] = {
    0: (19, 1, 7, 16, 1, 1, 0, 1, 0, 9984, 1, 0, 1, 2, 3, 4, 5, 6),  # 1g.10gb
    1: (14, 2, 3, 32, 2, 2, 0, 2, 0, 20096, 2, 0, 2, 4),  # 2g.20gb
    2: (9, 3, 2, 60, 3, 3, 0, 3, 0, 40448, 4, 0, 4),  # 3g.40gb
    3: (5, 4, 1, 64, 4, 4, 0, 4, 0, 40448, 4, 0),  # 4g.40gb
    4: (0, 7, 1, 132, 8, 7, 0, 7, 1, 80896, 8, 0),  # 7g.80gb
    7: (20, 1, 1, 16, 1, 1, 0, 1, 1, 9984, 1, 0, 1, 2, 3, 4, 5, 6),  # 1g.10gb+me
    9: (15, 1, 4, 26, 1, 1, 0, 1, 0, 20096, 2, 0, 2, 4, 6),  # 1g.20gb
}
