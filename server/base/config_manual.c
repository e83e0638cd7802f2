/* The table of options as the manual's list. */
#include <string.h>

#include <event2/buffer.h>

#include "server/base/config_private.h"

static const char *const type_names[] = {
	[OPTION_STRING] = "text",
	[OPTION_SECRET] = "text",
	[OPTION_ADDRESS] = "address:port",
	[OPTION_DURATION] = "duration",
	[OPTION_KEEP] = "duration|forever",
	[OPTION_SIZE] = "size|none",
	[OPTION_SHARE] = "size|percent",
	[OPTION_PORTS] = "ports",
	[OPTION_COUNT] = "number",
	[OPTION_ENUM] = "word",
	[OPTION_BOOL] = "yes|no",
	[OPTION_NAMES] = "list",
	[OPTION_DAY] = "day|never",
};

/* "cameras.*.source" as the manual names it: "cameras.NAME.source". */
static void write_key(struct evbuffer *out, const char *key)
{
	const char *star = strchr(key, '*');

	if (star)
		evbuffer_add_printf(out, "%.*sNAME%s", (int)(star - key), key, star + 1);
	else
		evbuffer_add_printf(out, "%s", key);
}

static void write_words(struct evbuffer *out, const struct config_option *o)
{
	for (const struct config_word *word = o->words; word->name; word++)
		evbuffer_add_printf(out, "%s%s", word == o->words ? "" : "|", word->name);
}

/* mdoc wants each sentence on a line of its own. */
static void write_help(struct evbuffer *out, const char *help)
{
	const char *end;

	while ((end = strstr(help, ". "))) {
		evbuffer_add_printf(out, "%.*s\n", (int)(end + 1 - help), help);
		help = end + 2;
	}
	evbuffer_add_printf(out, "%s\n", help);
}

void config_write_manual(struct evbuffer *out)
{
	static const char *const applies[] = {
		[APPLIES_NOTHING] = "A reload applies it at once.",
		[APPLIES_LISTENER] = "A change needs a restart of nvrd.",
		[APPLIES_CAMERA] = "A reload that changes it restarts the camera.",
		[APPLIES_RECORDER] = "A reload applies it by a new recording.",
		[APPLIES_PROCESS] = "A change needs a restart of nvrd.",
	};

	for (const struct config_option *o = config_options; o->key; o++) {
		evbuffer_add_printf(out, ".It Sy ");
		write_key(out, o->key);
		evbuffer_add_printf(out, " Pq ");
		if (o->words)
			write_words(out, o);
		else
			evbuffer_add_printf(out, "%s",
				o->type == OPTION_SIZE && o->min ? "size" : type_names[o->type]);
		evbuffer_add_printf(out, "\n");
		write_help(out, o->help);
		if (o->min && o->max)
			evbuffer_add_printf(out, "From %s to %s.\n", o->min, o->max);
		if (o->required)
			evbuffer_add_printf(out, "Must be given.\n");
		if (o->standard)
			evbuffer_add_printf(out, "Default:\n.Ql %s .\n", o->standard);
		evbuffer_add_printf(out, "%s\n", applies[o->applies]);
	}
}
