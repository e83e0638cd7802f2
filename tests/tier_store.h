#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/base/config.h"
#include "storage/retention.h"
#include "tests/store.h"
#include "tests/synthetic.h"

/* A store of several volumes, each a folder of its own, with their catalogue, on the reactor of the test. */

#define HOUR_US (3600 * INT64_C(1000000))
#define AT(hour) (SYNTHETIC_START_US + (hour)*HOUR_US)
#define DAY "recordings/porch/2026-11-20/"

extern char *hot, *warm, *cold; /* in the folder; `volume` is the first */
extern struct config *config;
extern struct retention *retention; /* freed with the store */

/* Of each test: somebody has set the clock. Nothing is open yet. */
int set_up(void **state);
int tear_down(void **state);

void load(const char *text);
/* storage: with these options of the hot and the warm volume; cold comes third when it is given. */
void load_volumes(const char *of_hot, const char *of_warm, const char *of_cold);
/* Returns how many volumes are not there. */
unsigned open_store(void);
unsigned reopen(void);

/* --- files; `top` is a volume's folder --- */

char *whole_path(const char *top, const char *path); /* the caller frees it */
/* How many bytes it has; -1: there is none. */
long size_at(const char *top, const char *path);
void write_at(const char *top, const char *path, const void *p, size_t n);

/* --- the catalogue --- */

extern const char *stream; /* of what is added */

/* A recording of an hour; it stays open when it has no bytes. Returns its id. */
int64_t add_row_at(const char *path, int64_t start_us, uint64_t bytes, int64_t boot_us);
int set_volume(int64_t id, const char *path, int64_t from, int64_t to);

struct answer {
	bool done;
	int error;
	size_t n;
	int64_t id, volume, boot_us;
	char path[128];
};
/* All rows with that path; those of the day. */
struct answer find_path(const char *path);
struct answer rows_in_folder(void);
