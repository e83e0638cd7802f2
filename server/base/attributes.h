#pragma once

#include <stddef.h>

/* The result says whether it worked; mark it (void) to ignore it on purpose. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF(text, first) __attribute__((format(printf, text, first)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* The object of type `type` whose `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
