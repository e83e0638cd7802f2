#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/base/attributes.h"
#include "server/base/config.h"

/* What the files of config share: the messages, the YAML tree, and the table of options. */

enum {
	CONFIG_FILE_BYTES = 1024 * 1024, /* the longest configuration */
	CONFIG_VALUE_BYTES = 64 * 1024,  /* the longest !file */
	CONFIG_DEPTH = 8,                /* mappings and lists inside each other */
	CONFIG_NODES = 50000,            /* keys and values in one file */
	CONFIG_KEY_BYTES = 128,
	CONFIG_ERRORS = 20, /* messages; the rest is only counted */
};

/* Messages, in the order in which they were found. */
struct config_errors {
	const char *file;
	char *text; /* NULL when there are none */
	size_t bytes;
	unsigned count;
};

/* Adds `file:line: path: message`; line 0 and path NULL are left out. */
void config_fail(struct config_errors *errors, int line, const char *path, const char *format, ...)
	PRINTF(4, 5);

struct config_option;
struct vault;

/* One node of the file. Root and mappings hold children with keys, lists hold them without. */
enum config_node_kind {
	NODE_SCALAR,
	NODE_LIST,
	NODE_MAP
};
TAILQ_HEAD(config_nodes, config_node);
struct config_node {
	TAILQ_ENTRY(config_node) entry;
	enum config_node_kind kind;
	int line;
	char *key;   /* printable UTF-8 or not; NULL in a list */
	char *tag;   /* "!env"; NULL when there is none */
	char *value; /* of a scalar, NUL-ended; may be secret */
	size_t value_bytes;
	bool plain;        /* a scalar without quotes: an empty one is no value at all */
	size_t begin, end; /* of a scalar in the text, with its tag and quotes */
	const struct config_option *option; /* that it was read as; NULL: none */
	struct config_nodes children;
};

/* Reads YAML. Returns the root, a mapping, or NULL with the messages added to errors. */
struct config_node *config_node_parse(const char *text, size_t n, struct config_errors *errors);
void config_node_free(struct config_node *node);
const struct config_node *config_node_find(const struct config_node *map, const char *key);

enum config_type {
	OPTION_STRING,
	OPTION_SECRET,   /* a string that no message may show */
	OPTION_ADDRESS,  /* "address:port", or 'off': NULL */
	OPTION_DURATION, /* int64_t, microseconds */
	OPTION_KEEP,     /* int64_t, microseconds, CONFIG_KEEP_FOREVER for 'forever'; never 0 */
	OPTION_SIZE,     /* uint64_t, bytes; 0 for 'none', where there is no min */
	OPTION_SHARE,    /* struct config_share */
	OPTION_PORTS,    /* struct config_ports */
	OPTION_COUNT,    /* unsigned, between min and max */
	OPTION_ENUM,
	OPTION_BOOL,
	OPTION_NAMES, /* char **, NULL-ended; NULL when left out */
	OPTION_DAY,   /* int64_t, microseconds: the beginning of a day UTC; 0 for 'never' */
};

/* What a changed value touches on a reload. */
enum config_applies {
	APPLIES_NOTHING,
	APPLIES_LISTENER,
	APPLIES_CAMERA,
	APPLIES_RECORDER,
	APPLIES_PROCESS
};

struct config_word {
	const char *name; /* NULL ends the list */
	int value;
};

struct config_option {
	const char *
		key; /* "storage.path"; "cameras.*.source" for a field of each camera; "storage.volumes[].path" for one of a list's entries */
	enum config_type type;
	size_t offset;        /* in struct config, or in the object that the key is of */
	const char *standard; /* the default as text; NULL: none */
	bool required;
	enum config_applies applies;
	const char *min, *max;           /* as text; NULL: no limit */
	const struct config_word *words; /* of an enum */
	const char *example;             /* of a list of names */
	/* A further check of the text, or of each name: NULL, or what is wrong (static). May be NULL. */
	const char *(*check)(const char *text);
	const char *help; /* one or more sentences, for the manual */
};

extern const struct config_option config_options[]; /* ends with a NULL key */

/* Its checks: config_checks.c. */
const char *config_check_segment(const char *text);
const char *config_check_path(const char *text);
const char *config_check_file(const char *text);
const char *config_check_network(const char *text);
const char *config_check_interface(const char *text);
const char *config_check_scope(const char *text);
const char *config_check_ip_address(const char *text);
const char *config_check_base_path(const char *text);
const char *config_check_password(const char *text);
const char *config_check_app_password(const char *text);
const char *config_check_pulled(const char *text);
const char *config_check_source(const char *text);
const char *config_check_onvif(const char *text);
const char *config_check_fingerprint(const char *text);
const char *config_check_schedule(const char *text);
const char *config_check_multicast(const char *text);

/* The row "<prefix><name>", such as "cameras.*." and "source"; NULL when there is none. */
const struct config_option *config_option_find(const char *prefix, const char *name);
/* Whether the row is of that section itself, and of nothing in it that there may be several of. */
bool config_option_has_prefix(const struct config_option *option, const char *prefix);

/*
 * Parses the text into the option's field of object and frees what was there. Returns NULL, or what
 * is wrong (static, or in buf); the value is shown in it when it may be and the option is no secret.
 */
enum {
	CONFIG_WHY_BYTES = 320
};
const char *config_option_set(const struct config_option *option, void *object, const char *text,
	bool may_show, char buf[CONFIG_WHY_BYTES]);
/* Sets all fields of the rows with this prefix to their defaults. */
void config_options_set_defaults(const char *prefix, void *object);
/* Frees what the rows with this prefix own inside of object. */
void config_options_clear(const char *prefix, void *object);
/* Sets the fields of the rows with this prefix, which are empty in `to`, to copies. */
void config_options_copy(const char *prefix, void *to, const void *from);
bool config_option_equal(const struct config_option *option, const void *a, const void *b);

/* "10s", "5m", "250ms", "2h", "1d", or "0". Returns 0 or -EINVAL. */
int config_parse_duration(const char *text, int64_t *ret_us) MUST_CHECK;
/* "500GB", "2TiB": a whole number that is not 0, and its unit. Returns 0 or -EINVAL. */
int config_parse_size(const char *text, uint64_t *ret_bytes) MUST_CHECK;
/* "2027-01-31": its beginning, UTC. Returns 0 or -EINVAL. */
int config_parse_day(const char *text, int64_t *ret_us) MUST_CHECK;
/* yes, no, true, false, on, off. Returns 0 or -EINVAL. */
int config_parse_bool(const char *text, bool *ret) MUST_CHECK;
/* NULL, or what is wrong with the name of a camera, of a user. */
const char *config_check_camera_name(const char *name);
const char *config_check_user_name(const char *name);

/* Whether `candidate` is so near to `given` that it may have been meant. */
bool config_is_near(const char *given, const char *candidate);
/* The printable part of a key for messages, at most 64 bytes. Returns ret. */
enum {
	CONFIG_SHOWN_BYTES = 68
};
const char *config_show(char ret[CONFIG_SHOWN_BYTES], const char *text);

/* Appends a user, a password of one, a camera, a volume, a device, with defaults. */
void *config_add_app_password(struct auth_user *user, int line);
void *config_add_user(struct config *config, const char *name, int line);
void *config_add_camera(struct config *config, const char *name, int line);
void *config_add_volume(struct config *config, int line);
void *config_add_device(struct config *config, const char *camera, int line);

struct config *config_new(const char *file);
/* Passwords that expire were written when the file was. Blocks. */
void config_set_written(struct config *config);

/* One reading of a configuration, perhaps of several files. */
struct config_loading {
	struct config *config; /* which holds its defaults */
	struct config_errors *errors;
	bool may_resolve; /* else !env and !file are errors, and so is !vault without this: */
	const struct vault *vault; /* NULL: that of the configuration's folder */
	struct vault *opened;      /* which is freed by whoever began */
};
/* Puts a tree into the configuration: that of its own file; that of a camera; then checks the whole. */
void config_read(struct config_loading *l, struct config_node *root);
void config_read_camera(struct config_loading *l, const char *name, struct config_node *root);
void config_read_end(struct config_loading *l, const struct config_node *root);

bool config_node_is_empty(const struct config_node *node);
/* Whether the node has no tag but the one of strings. */
bool config_node_is_untagged(const struct config_node *node);
/* Whether the text of a secret option would give something away. */
bool config_is_secret(const struct config_option *option, const char *text);
/* The path of a file whose name is relative to the configuration's folder; the caller frees it. */
char *config_beside(const char *file, const char *name);

/* What config_parse() does; !env, !file and !vault are errors unless may_resolve. */
struct config *config_parse_text(
	const char *file, const char *text, size_t n, bool may_resolve, char **errors) MUST_CHECK;
