/* DAV:basicsearch (RFC 5323): its operators, its orders, and bounds of what it can hold for. */
#include <string.h>
#include <strings.h>

#include "protocols/search_query.h"

/* Section 5.5: what is compared with something that is not defined is neither. */
enum truth {
	IS_FALSE,
	IS_TRUE,
	IS_UNKNOWN
};

static enum truth truth_of(bool value)
{
	return value ? IS_TRUE : IS_FALSE;
}

static char letter_of(char c, bool caseless)
{
	return caseless && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* One letter of a pattern, maybe behind a backslash, against one of the text. */
static bool fits_letter(const char **pattern, char c, bool caseless)
{
	if (**pattern == '_')
		return true;
	*pattern += **pattern == '\\';
	return letter_of(**pattern, caseless) == letter_of(c, caseless);
}

/* The start of the next letter of UTF-8: behind c and what continues it. */
static const char *next_letter(const char *s)
{
	for (s++; ((unsigned char)*s & 0xc0) == 0x80; s++)
		;
	return s;
}

/* Goes back to the last '%' only, which is enough: what was before it can stay as it was found. */
static bool is_like(const char *text, const char *pattern, bool caseless)
{
	const char *retry_pattern = NULL, *retry_text = NULL;

	while (*text || *pattern) {
		const char *at = pattern;

		if (*pattern == '%') {
			retry_pattern = ++pattern;
			retry_text = text;
			continue;
		}
		if (*pattern && *text && fits_letter(&at, *text, caseless)) {
			text = *pattern == '_' ? next_letter(text) : text + 1;
			pattern = at + 1;
			continue;
		}
		if (!retry_pattern || !*retry_text)
			return false;
		text = ++retry_text;
		pattern = retry_pattern;
	}
	return true;
}

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_texts(const char *a, const char *b, bool caseless)
{
	return caseless ? strcasecmp(a, b) : strcmp(a, b);
}

static const struct search_property_row *row_of(enum search_property property)
{
	return property < SEARCH_PROPERTIES ? &search_properties[property] : NULL;
}

static enum truth judge_value(const struct search_node *node, const struct search_value *value)
{
	const struct search_property_row *row = row_of(node->property);
	int order;

	if (node->kind == SEARCH_IS_DEFINED)
		return truth_of(value->is_defined);
	if (!value->is_defined)
		return IS_UNKNOWN;
	if (node->kind == SEARCH_LIKE)
		return truth_of(is_like(value->text, node->text, node->caseless));
	order = row->type == SEARCH_TEXT ? compare_texts(value->text, node->text, node->caseless)
					 : compare_numbers(value->number, node->number);
	switch (node->kind) {
	case SEARCH_EQ:
		return truth_of(order == 0);
	case SEARCH_LT:
		return truth_of(order < 0);
	case SEARCH_LTE:
		return truth_of(order <= 0);
	case SEARCH_GT:
		return truth_of(order > 0);
	default:
		return truth_of(order >= 0);
	}
}

static enum truth judge_all(const enum truth *operands, unsigned n, enum truth decisive)
{
	enum truth truth = decisive == IS_FALSE ? IS_TRUE : IS_FALSE;

	for (unsigned i = 0; i < n; i++) {
		if (operands[i] == decisive)
			return decisive;
		if (operands[i] == IS_UNKNOWN)
			truth = IS_UNKNOWN;
	}
	return truth;
}

static struct search_value value_of(
	const void *thing, enum search_property property, search_get_fn *get)
{
	return property < SEARCH_PROPERTIES ? get(thing, property) : (struct search_value){ 0 };
}

bool search_query_holds(const struct search_query *query, const void *thing, search_get_fn *get)
{
	enum truth stack[SEARCH_NODES] = { IS_TRUE }; /* of no conditions */
	struct search_value value;
	size_t n = 0;

	for (size_t i = 0; i < query->n_where; i++) {
		const struct search_node *node = &query->where[i];

		n -= node->operands;
		switch (node->kind) {
		case SEARCH_AND:
			stack[n] = judge_all(&stack[n], node->operands, IS_FALSE);
			break;
		case SEARCH_OR:
			stack[n] = judge_all(&stack[n], node->operands, IS_TRUE);
			break;
		case SEARCH_NOT:
			if (stack[n] != IS_UNKNOWN)
				stack[n] = truth_of(stack[n] == IS_FALSE);
			break;
		case SEARCH_IS_COLLECTION: /* recordings are files */
			stack[n] = IS_FALSE;
			break;
		default:
			value = value_of(thing, node->property, get);
			stack[n] = judge_value(node, &value);
			break;
		}
		n++;
	}
	return stack[0] == IS_TRUE;
}

int search_query_compare(
	const struct search_query *query, const void *a, const void *b, search_get_fn *get)
{
	for (size_t i = 0; i < query->n_order; i++) {
		const struct search_order *order = &query->order[i];
		const struct search_property_row *row = row_of(order->property);
		struct search_value of_a = value_of(a, order->property, get);
		struct search_value of_b = value_of(b, order->property, get);
		int result = of_a.is_defined - of_b.is_defined;

		if (!result && of_a.is_defined)
			result = row->type == SEARCH_TEXT
					 ? compare_texts(of_a.text, of_b.text, order->caseless)
					 : compare_numbers(of_a.number, of_b.number);
		if (result)
			return order->descending ? -result : result;
	}
	return 0;
}

/* --- bounds --- */

struct bounds {
	bool is_empty;
	struct search_range range;
};

enum {
	SHOWN_US = 1000000 /* instants are shown, and so compared, in steps of at most this */
};

static const struct bounds everything = {
	false, {INT64_MIN, INT64_MAX, INT64_MIN}
};
static const struct bounds nothing = { .is_empty = true };

static struct bounds bounds_of_instant(const struct search_node *node)
{
	bool is_start = node->property == SEARCH_START || node->property == SEARCH_CREATED;
	struct bounds b = everything;

	if (node->kind == SEARCH_EQ || node->kind == SEARCH_GT || node->kind == SEARCH_GTE) {
		if (is_start)
			b.range.from_us = node->number;
		else
			b.range.ended_us = node->number;
	}
	/* what has ended has started before */
	if (node->kind == SEARCH_EQ || node->kind == SEARCH_LT || node->kind == SEARCH_LTE)
		b.range.to_us = node->number + SHOWN_US;
	return b;
}

static struct bounds bounds_of_leaf(const struct search_node *node, const char *camera)
{
	struct search_value value = { .is_defined = true, .text = camera };

	if (node->kind == SEARCH_IS_COLLECTION || node->property == SEARCH_UNDEFINED)
		return nothing;
	if (node->property == SEARCH_CAMERA)
		return judge_value(node, &value) == IS_TRUE ? everything : nothing;
	if (node->kind != SEARCH_IS_DEFINED &&
		search_properties[node->property].type == SEARCH_INSTANT)
		return bounds_of_instant(node);
	return everything;
}

static struct bounds intersect(const struct bounds *b, unsigned n)
{
	struct bounds all = b[0];

	for (unsigned i = 1; i < n; i++) {
		all.is_empty = all.is_empty || b[i].is_empty;
		if (b[i].range.from_us > all.range.from_us)
			all.range.from_us = b[i].range.from_us;
		if (b[i].range.to_us < all.range.to_us)
			all.range.to_us = b[i].range.to_us;
		if (b[i].range.ended_us > all.range.ended_us)
			all.range.ended_us = b[i].range.ended_us;
	}
	all.is_empty = all.is_empty || all.range.from_us > all.range.to_us;
	return all;
}

static struct bounds unite(const struct bounds *b, unsigned n)
{
	struct bounds any = nothing;

	for (unsigned i = 0; i < n; i++) {
		if (b[i].is_empty)
			continue;
		if (any.is_empty) {
			any = b[i];
			continue;
		}
		if (b[i].range.from_us < any.range.from_us)
			any.range.from_us = b[i].range.from_us;
		if (b[i].range.to_us > any.range.to_us)
			any.range.to_us = b[i].range.to_us;
		if (b[i].range.ended_us < any.range.ended_us)
			any.range.ended_us = b[i].range.ended_us;
	}
	return any;
}

bool search_query_range(
	const struct search_query *query, const char *camera, struct search_range *ret)
{
	struct bounds stack[SEARCH_NODES];
	size_t n = 0;

	stack[0] = everything;
	for (size_t i = 0; i < query->n_where; i++) {
		const struct search_node *node = &query->where[i];

		n -= node->operands;
		switch (node->kind) {
		case SEARCH_AND:
			stack[n] = intersect(&stack[n], node->operands);
			break;
		case SEARCH_OR:
			stack[n] = unite(&stack[n], node->operands);
			break;
		case SEARCH_NOT:
			stack[n] = everything; /* what is excluded is looked at all the same */
			break;
		default:
			stack[n] = bounds_of_leaf(node, camera);
			break;
		}
		n++;
	}
	*ret = stack[0].range;
	return !stack[0].is_empty;
}
