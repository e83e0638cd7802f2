/*
 * The grammar, with blanks between all of it. XPath's `and` comes before `or`.
 *
 *   any  = all *("or" all)      all  = term *("and" term)
 *   term = "not" "(" any ")" / "(" any ")" / leaf
 *   leaf = "boolean" "(" "//" name "[" any "]" ")", and in the brackets: "@Name" "=" string, "@Value" "=" string
 */
#include "onvif/item_filter.h"

#include <string.h>

#define BLANKS " \t\r\n"

enum {
	DEPTH_MOST = 32 /* of parentheses */
};

struct reading {
	const char *p;
	bool is_wrong;                    /* p stays where that was */
	const struct event_text *message; /* NULL: it is only looked at */
	const struct event_item *item;    /* in brackets: the one that is looked at, or NULL */
	bool is_in_brackets;
	unsigned depth;
};

static bool read_any(struct reading *reading);

/* --- words --- */

static void skip_blanks(struct reading *reading)
{
	reading->p += strspn(reading->p, BLANKS);
}

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.' || (unsigned char)c >= 0x80;
}

/* Takes a sign, if it is next. */
static bool take(struct reading *reading, const char *sign)
{
	size_t n = strlen(sign);

	skip_blanks(reading);
	if (reading->is_wrong || strncmp(reading->p, sign, n) != 0)
		return false;
	reading->p += n;
	return true;
}

/* The same of a word that ends where it ends. */
static bool take_word(struct reading *reading, const char *word)
{
	const char *before = reading->p;

	if (take(reading, word) && !is_name_byte(*reading->p))
		return true;
	reading->p = before;
	return false;
}

static void need(struct reading *reading, bool is_there)
{
	reading->is_wrong = reading->is_wrong || !is_there;
}

/* A string in quotes; whether it is that text, which may be NULL. */
static bool read_string(struct reading *reading, const char *text)
{
	char quote;
	const char *end;
	bool is_same;

	skip_blanks(reading);
	quote = *reading->p;
	end = quote == '"' || quote == '\'' ? strchr(reading->p + 1, quote) : NULL;
	need(reading, end != NULL);
	if (!end || reading->is_wrong)
		return false;
	reading->p++;
	is_same = text && strlen(text) == (size_t)(end - reading->p) &&
		  !strncmp(reading->p, text, (size_t)(end - reading->p));
	reading->p = end + 1;
	return is_same;
}

/* --- terms --- */

/* In brackets: @Name="…", @Value="…". */
static bool read_attribute(struct reading *reading)
{
	const struct event_item *item = reading->item;
	bool is_name = take_word(reading, "@Name");

	need(reading, is_name || take_word(reading, "@Value"));
	need(reading, take(reading, "="));
	return read_string(reading, !item ? NULL : is_name ? item->name : item->value);
}

/* Whether one of the items meets what stands in brackets, which is read once more for each. */
static bool read_brackets(struct reading *reading, const struct event_item *items)
{
	const char *begin = reading->p;
	bool has = false;

	for (size_t i = 0; items && i < EVENT_WRITER_ITEMS && items[i].name; i++) {
		reading->p = begin;
		reading->item = &items[i];
		has = read_any(reading) || has;
	}
	reading->item = NULL;
	return has;
}

/* Messages have simple items, and no others. */
static bool read_path(struct reading *reading)
{
	const struct event_text *message = reading->message;
	const char *begin, *colon;
	bool is_simple, has = false;

	need(reading, take(reading, "//"));
	skip_blanks(reading);
	colon = reading->p;
	while (is_name_byte(*colon))
		colon++;
	if (*colon == ':')
		reading->p = colon + 1;
	is_simple = take_word(reading, "SimpleItem");
	need(reading, is_simple || take_word(reading, "ElementItem"));
	need(reading, take(reading, "["));
	reading->is_in_brackets = true;
	begin = reading->p;
	if (message && is_simple) {
		has = read_brackets(reading, message->source);
		reading->p = begin;
		has = read_brackets(reading, message->data) || has;
		reading->p = begin;
	}
	(void)read_any(reading);
	reading->is_in_brackets = false;
	need(reading, take(reading, "]"));
	return has;
}

static bool read_leaf(struct reading *reading)
{
	bool has;

	if (reading->is_in_brackets)
		return read_attribute(reading);
	need(reading, take_word(reading, "boolean"));
	need(reading, take(reading, "("));
	has = read_path(reading);
	need(reading, take(reading, ")"));
	return has;
}

static bool read_term(struct reading *reading)
{
	bool is_not = take_word(reading, "not"), has;

	if (is_not)
		need(reading, take(reading, "("));
	else if (!take(reading, "("))
		return read_leaf(reading);
	need(reading, ++reading->depth <= DEPTH_MOST);
	has = !reading->is_wrong && read_any(reading);
	reading->depth--;
	need(reading, take(reading, ")"));
	return has != is_not;
}

static bool read_all(struct reading *reading)
{
	bool has = read_term(reading);

	while (take_word(reading, "and"))
		has = read_term(reading) && has;
	return has;
}

static bool read_any(struct reading *reading)
{
	bool has = read_all(reading);

	while (take_word(reading, "or"))
		has = read_all(reading) || has;
	return has;
}

/* --- the whole --- */

static bool read_whole(struct reading *reading)
{
	bool has = read_any(reading);

	skip_blanks(reading);
	need(reading, !*reading->p);
	return has && !reading->is_wrong;
}

bool item_filter_is_valid(const char *expression)
{
	struct reading reading = { .p = expression };

	(void)read_whole(&reading);
	return !reading.is_wrong;
}

bool item_filter_has(const char *expression, const struct event_text *message)
{
	struct reading reading = { .p = expression, .message = message };

	return read_whole(&reading);
}
