// SPDX-License-Identifier: Apache-2.0
// A libamd_smi.so for tests: what it answers stands in the text file that FAKEAMDSMI names, and is read at every call.
//
// Lines: `gpus N`; `GPU KEY VALUE`; `fault GPU CALL KIND NUMBER`, where GPU is an index, or `-` for calls about none.
// Structures and codes are those of amdsmi.h (ROCm 7.0); functions that are not here are made by build.py.

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT 256
enum { SUCCESS = 0, INVAL = 1, NOT_SUPPORTED = 2 };

typedef void *handle;

// Find the rest of the first line that begins with the words; empty where there is none.
static int find(const char *words, char *rest) {
    FILE *file = fopen(getenv("FAKEAMDSMI") ? getenv("FAKEAMDSMI") : "", "r");
    char line[1024];
    size_t length = strlen(words);
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, words, length) == 0 && line[length] == ' ') {
            line[strcspn(line, "\n")] = 0;
            snprintf(rest, TEXT, "%s", line + length + 1);
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

static int text(int gpu, const char *key, char *value) {
    char words[TEXT];
    snprintf(words, sizeof words, "%d %s", gpu, key);
    return find(words, value);
}

static int number(int gpu, const char *key, uint64_t *value) {
    char told[TEXT];
    if (!text(gpu, key, told)) return 0;
    *value = strtoull(told, NULL, 0);
    return 1;
}

static int copy(int gpu, const char *key, char *value) {
    memset(value, 0, TEXT);
    return text(gpu, key, value);
}

// Do what the text says of a call instead of answering; give the status to return, or success.
static int enter(const char *call, int gpu) {
    char words[TEXT], rest[TEXT], kind[TEXT];
    int code = 0;
    if (gpu < 0) snprintf(words, sizeof words, "fault - %s", call);
    else snprintf(words, sizeof words, "fault %d %s", gpu, call);
    if (!find(words, rest) || sscanf(rest, "%255s %d", kind, &code) < 1) return SUCCESS;
    if (strcmp(kind, "hang") == 0) for (;;) pause();
    if (strcmp(kind, "crash") == 0) raise(SIGSEGV);
    if (strcmp(kind, "slow") == 0) usleep((useconds_t)code * 1000);
    return strcmp(kind, "error") == 0 ? code : SUCCESS;
}

static int index_of(handle device) { return (int)(uintptr_t)device - 1; }

#define ENTER(device)                                  \
    int gpu = index_of(device);                        \
    int status = enter(__func__, gpu);                 \
    if (status != SUCCESS) return status

static uint32_t gpus(void) {
    char rest[TEXT];
    return find("gpus", rest) ? (uint32_t)strtoul(rest, NULL, 10) : 0;
}

int amdsmi_init(uint64_t flags) { (void)flags; return enter(__func__, -1); }

int amdsmi_shut_down(void) { return enter(__func__, -1); }

// A socket for each GPU, as on a board with several of them.
int amdsmi_get_socket_handles(uint32_t *count, handle *sockets) {
    int status = enter(__func__, -1);
    if (status != SUCCESS) return status;
    *count = gpus();
    for (uint32_t i = 0; sockets && i < *count; i++) sockets[i] = (handle)(uintptr_t)(i + 1);
    return SUCCESS;
}

int amdsmi_get_processor_handles(handle socket, uint32_t *count, handle *devices) {
    *count = 1;
    if (devices) devices[0] = socket;
    return SUCCESS;
}

int amdsmi_get_gpu_device_uuid(handle device, uint32_t *length, char *uuid) {
    ENTER(device);
    char value[TEXT];
    if (!copy(gpu, "uuid", value)) return NOT_SUPPORTED;
    snprintf(uuid, *length, "%s", value);
    return SUCCESS;
}

int amdsmi_get_gpu_device_bdf(handle device, uint64_t *bdf) {
    ENTER(device);
    char value[TEXT];
    unsigned domain, bus, slot, function;
    if (!copy(gpu, "bdf", value)) return NOT_SUPPORTED;
    if (sscanf(value, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) return INVAL;
    *bdf = (uint64_t)domain << 16 | bus << 8 | slot << 3 | function;
    return SUCCESS;
}

struct kfd {
    uint64_t id;
    uint32_t node, partition, reserved[12];
};

int amdsmi_get_gpu_kfd_info(handle device, struct kfd *info) {
    ENTER(device);
    uint64_t partition;
    if (!number(gpu, "partition", &partition)) return NOT_SUPPORTED;
    info->partition = (uint32_t)partition;
    return SUCCESS;
}

struct asic {
    char market_name[TEXT];
    uint32_t vendor_id;
    char vendor_name[TEXT];
    uint32_t subvendor_id;
    uint64_t device_id;
    uint32_t rev_id;
    char serial[TEXT];
    uint32_t oam_id, compute_units;
    uint64_t target_graphics_version;
    uint32_t subsystem_id, reserved[21];
};

int amdsmi_get_gpu_asic_info(handle device, struct asic *info) {
    ENTER(device);
    memset(info, 0, sizeof *info);
    copy(gpu, "market_name", info->market_name);
    return number(gpu, "gfx_version", &info->target_graphics_version) ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_board_info(handle device, char (*info)[TEXT]) {
    ENTER(device);
    const char *keys[] = {"model_number", "product_serial", "fru_id", "product_name", "manufacturer_name"};
    int found = 0;
    for (int i = 0; i < 5; i++) found |= copy(gpu, keys[i], info[i]);
    return found ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_driver_info(handle device, char (*info)[TEXT]) {
    ENTER(device);
    int found = copy(gpu, "driver_version", info[0]);
    copy(gpu, "driver_date", info[1]);
    copy(gpu, "driver_name", info[2]);
    return found ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_vbios_info(handle device, char (*info)[TEXT]) {
    ENTER(device);
    const char *keys[] = {"vbios_name", "vbios_date", "vbios_part", "vbios_version"};
    int found = 0;
    for (int i = 0; i < 4; i++) found |= copy(gpu, keys[i], info[i]);
    return found ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_activity(handle device, uint32_t *usage) {
    ENTER(device);
    const char *keys[] = {"gfx_activity", "umc_activity", "mm_activity"};
    uint64_t value;
    int found = 0;
    for (int i = 0; i < 3; i++) {
        usage[i] = 0xFFFF;
        if (number(gpu, keys[i], &value)) usage[i] = (uint32_t)value, found = 1;
    }
    return found ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_memory_usage(handle device, int type, uint64_t *used) {
    ENTER(device);
    return type == 0 && number(gpu, "used_bytes", used) ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_memory_total(handle device, int type, uint64_t *total) {
    ENTER(device);
    return type == 0 && number(gpu, "total_bytes", total) ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_gpu_vram_usage(handle device, uint32_t *vram) {
    ENTER(device);
    uint64_t total, used;
    if (!number(gpu, "total_mib", &total) || !number(gpu, "used_mib", &used)) return NOT_SUPPORTED;
    vram[0] = (uint32_t)total;
    vram[1] = (uint32_t)used;
    return SUCCESS;
}

struct power {
    uint64_t socket;
    uint32_t current, average;
    uint64_t gfx_voltage, soc_voltage, mem_voltage;
    uint32_t limit;
    uint64_t reserved[18];
};

int amdsmi_get_power_info(handle device, struct power *info) {
    ENTER(device);
    uint64_t value;
    int found = 0;
    info->socket = info->current = info->average = 0xFFFF;
    if (number(gpu, "socket_power", &value)) info->socket = value, found = 1;
    if (number(gpu, "current_power", &value)) info->current = (uint32_t)value, found = 1;
    if (number(gpu, "average_power", &value)) info->average = (uint32_t)value, found = 1;
    return found ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_power_cap_info(handle device, uint32_t sensor, uint64_t *caps) {
    ENTER(device);
    const char *keys[] = {"cap", "cap_default", "cap_dpm", "cap_minimum", "cap_maximum"};
    if (sensor != 0 || !number(gpu, keys[0], &caps[0])) return NOT_SUPPORTED;
    for (int i = 1; i < 5; i++)
        if (!number(gpu, keys[i], &caps[i])) caps[i] = 0;
    return SUCCESS;
}

int amdsmi_get_energy_count(handle device, uint64_t *count, float *resolution, uint64_t *timestamp) {
    ENTER(device);
    *resolution = 15.5f;
    *timestamp = 1;
    return number(gpu, "energy", count) ? SUCCESS : NOT_SUPPORTED;
}

int amdsmi_get_temp_metric(handle device, int sensor, int metric, int64_t *degrees) {
    ENTER(device);
    const char *keys[] = {"edge", "hotspot", "vram"};
    uint64_t value;
    if (metric != 0 || sensor < 0 || sensor > 2 || !number(gpu, keys[sensor], &value)) return NOT_SUPPORTED;
    *degrees = (int64_t)value;
    return SUCCESS;
}

int amdsmi_get_clock_info(handle device, int type, uint32_t *clock) {
    ENTER(device);
    const char *key = type == 0 ? "gfx_clock" : type == 4 ? "mem_clock" : type == 6 ? "video_clock" : "other_clock";
    char value[TEXT];
    if (!text(gpu, key, value)) return NOT_SUPPORTED;
    clock[1] = 0;
    return sscanf(value, "%u %u", &clock[0], &clock[2]) == 2 ? SUCCESS : INVAL;
}

int amdsmi_get_gpu_total_ecc_count(handle device, uint64_t *errors) {
    ENTER(device);
    errors[2] = 0;
    return number(gpu, "corrected", &errors[0]) && number(gpu, "uncorrected", &errors[1]) ? SUCCESS : NOT_SUPPORTED;
}
