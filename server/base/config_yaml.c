/*
 * YAML to a tree of nodes, by libyaml's events. Takes the plain part of YAML only: no anchors, no
 * second document, no keys but strings, and all of it bounded.
 */
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "server/base/config_private.h"
#include "server/base/memory.h"

struct reading {
	yaml_parser_t parser;
	struct config_errors *errors;
	const char *text;
	size_t n;
	size_t characters, bytes; /* of the text, up to the last offset() */
	unsigned nodes;
};

static struct config_node *read_node(struct reading *r, const yaml_event_t *event, int depth);

static int line_of(const yaml_event_t *event)
{
	return (int)event->start_mark.line + 1;
}

/* A reader error has no mark, only the offset of the bad byte. */
static int line_of_problem(const struct reading *r)
{
	size_t end = r->parser.problem_offset < r->n ? r->parser.problem_offset : r->n;
	int line = 1;

	if (r->parser.error != YAML_READER_ERROR)
		return (int)r->parser.problem_mark.line + 1;
	for (size_t i = 0; i < end; i++)
		line += r->text[i] == '\n';
	return line;
}

static void fail_syntax(struct reading *r)
{
	const char *problem = r->parser.problem ? r->parser.problem : "not YAML";
	const char *context = r->parser.context ? r->parser.context : "while reading YAML";

	config_fail(r->errors, line_of_problem(r), NULL, "%s (%s)", problem, context);
}

/* The next event, which the caller deletes. */
static bool next_event(struct reading *r, yaml_event_t *event)
{
	if (yaml_parser_parse(&r->parser, event))
		return true;
	fail_syntax(r);
	return false;
}

static char *copy_text(const yaml_char_t *p)
{
	return p ? xstrdup((const char *)p) : NULL;
}

static struct config_node *node_new(enum config_node_kind kind, int line)
{
	struct config_node *node = xcalloc(1, sizeof(*node));

	node->kind = kind;
	node->line = line;
	TAILQ_INIT(&node->children);
	return node;
}

void config_node_free(struct config_node *node)
{
	struct config_node *child;

	if (!node)
		return;
	while ((child = TAILQ_FIRST(&node->children))) {
		TAILQ_REMOVE(&node->children, child, entry);
		config_node_free(child);
	}
	free(node->key);
	free(node->tag);
	memory_free_secret(node->value);
	free(node);
}

const struct config_node *config_node_find(const struct config_node *map, const char *key)
{
	const struct config_node *child;

	TAILQ_FOREACH (child, &map->children, entry) {
		if (child->key && strcmp(child->key, key) == 0)
			return child;
	}
	return NULL;
}

/* Where in the text a mark is: libyaml counts characters. Marks are asked for in their order. */
static size_t offset(struct reading *r, const yaml_mark_t *mark)
{
	for (; r->bytes < r->n; r->bytes++) {
		bool is_first = ((unsigned char)r->text[r->bytes] & 0xc0) != 0x80;

		if (is_first && r->characters == mark->index)
			break;
		r->characters += is_first;
	}
	return r->bytes;
}

/* What of the text is the value; a block's line break is not. */
static void set_place(struct reading *r, struct config_node *node, const yaml_event_t *event)
{
	node->begin = offset(r, &event->start_mark);
	node->end = offset(r, &event->end_mark);
	while (node->end > node->begin && strchr(" \t\r\n", r->text[node->end - 1]))
		node->end--;
}

static struct config_node *read_scalar(struct reading *r, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t n = event->data.scalar.length;

	if (memchr(value, '\0', n)) {
		config_fail(r->errors, line_of(event), NULL, "a value may not hold a NUL");
		return NULL;
	}
	struct config_node *node = node_new(NODE_SCALAR, line_of(event));
	node->value = xstrndup(value, n);
	node->value_bytes = n;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->tag = copy_text(event->data.scalar.tag);
	set_place(r, node, event);
	return node;
}

/* The key of a mapping's next pair, which the caller frees; NULL with a message when it is none. */
static char *read_key(struct reading *r, const yaml_event_t *event)
{
	const char *key = (const char *)event->data.scalar.value;

	if (event->type == YAML_ALIAS_EVENT)
		config_fail(
			r->errors, line_of(event), NULL, "anchors and aliases are not supported");
	else if (event->type != YAML_SCALAR_EVENT)
		config_fail(r->errors, line_of(event), NULL, "a key must be a plain word");
	else if (event->data.scalar.anchor || event->data.scalar.tag)
		config_fail(
			r->errors, line_of(event), NULL, "a key may have neither anchor nor tag");
	else if (event->data.scalar.length >= CONFIG_KEY_BYTES ||
		 strlen(key) != event->data.scalar.length)
		config_fail(r->errors, line_of(event), NULL,
			"a key is longer than %d bytes, or holds a NUL", CONFIG_KEY_BYTES - 1);
	else
		return xstrdup(key);
	return NULL;
}

/* Reads the next child into parent. Returns 1, 0 at the parent's end, or -1 with a message. */
static int read_child(struct reading *r, struct config_node *parent, int depth)
{
	yaml_event_t event;
	char *key = NULL;
	int line = 0;

	if (!next_event(r, &event))
		return -1;
	if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
		yaml_event_delete(&event);
		return 0;
	}
	if (parent->kind == NODE_MAP) {
		key = read_key(r, &event);
		line = line_of(&event);
		yaml_event_delete(&event);
		if (!key)
			return -1;
		if (!next_event(r, &event)) {
			free(key);
			return -1;
		}
	}
	struct config_node *child = read_node(r, &event, depth + 1);
	yaml_event_delete(&event);
	if (!child) {
		free(key);
		return -1;
	}
	child->key = key;
	if (key)
		child->line = line; /* where a person looks for it */
	TAILQ_INSERT_TAIL(&parent->children, child, entry);
	return 1;
}

static struct config_node *read_children(
	struct reading *r, const yaml_event_t *event, enum config_node_kind kind, int depth)
{
	struct config_node *node;
	int more;

	if (depth > CONFIG_DEPTH) {
		config_fail(r->errors, line_of(event), NULL, "nested deeper than %d levels",
			CONFIG_DEPTH);
		return NULL;
	}
	node = node_new(kind, line_of(event));
	if (kind == NODE_MAP)
		node->tag = copy_text(event->data.mapping_start.tag);
	else
		node->tag = copy_text(event->data.sequence_start.tag);
	do {
		more = read_child(r, node, depth);
	} while (more > 0);
	if (more < 0) {
		config_node_free(node);
		return NULL;
	}
	return node;
}

static bool has_anchor(const yaml_event_t *event)
{
	return event->type == YAML_ALIAS_EVENT ||
	       (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
	       (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor) ||
	       (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor);
}

static struct config_node *read_node(struct reading *r, const yaml_event_t *event, int depth)
{
	if (++r->nodes > CONFIG_NODES) {
		config_fail(r->errors, line_of(event), NULL, "more than %d values", CONFIG_NODES);
		return NULL;
	}
	if (has_anchor(event)) {
		config_fail(
			r->errors, line_of(event), NULL, "anchors and aliases are not supported");
		return NULL;
	}
	if (event->type == YAML_SCALAR_EVENT)
		return read_scalar(r, event);
	return read_children(
		r, event, event->type == YAML_MAPPING_START_EVENT ? NODE_MAP : NODE_LIST, depth);
}

/* The root, or a map without keys for an empty document. */
static struct config_node *read_root(struct reading *r, const yaml_event_t *event)
{
	struct config_node *root = read_node(r, event, 1);

	if (!root || root->kind == NODE_MAP)
		return root;
	bool is_empty = root->kind == NODE_SCALAR && root->plain && root->value_bytes == 0;
	if (!is_empty)
		config_fail(r->errors, root->line, NULL, "expected 'key: value' lines");
	config_node_free(root);
	return is_empty ? node_new(NODE_MAP, 1) : NULL;
}

/* What could make the tags mean something else. */
static bool has_directives(const yaml_event_t *event)
{
	return event->data.document_start.version_directive ||
	       event->data.document_start.tag_directives.start !=
		       event->data.document_start.tag_directives.end;
}

/* Walks the stream of documents, of which there may be one. */
static struct config_node *read_stream(struct reading *r)
{
	struct config_node *root = NULL;
	yaml_event_t event;
	bool ok = true;
	bool is_end = false;

	while (ok && !is_end && (ok = next_event(r, &event))) {
		switch ((int)event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			ok = !has_directives(&event);
			if (!ok)
				config_fail(r->errors, line_of(&event), NULL,
					"directives are not supported");
			break;
		case YAML_STREAM_END_EVENT:
			is_end = true;
			break;
		default:
			if (root)
				config_fail(r->errors, line_of(&event), NULL, "a second document");
			ok = !root && (root = read_root(r, &event));
			break;
		}
		yaml_event_delete(&event);
	}
	if (ok)
		return root ? root : node_new(NODE_MAP, 1);
	config_node_free(root);
	return NULL;
}

struct config_node *config_node_parse(const char *text, size_t n, struct config_errors *errors)
{
	struct reading r = { .errors = errors, .text = text, .n = n };
	struct config_node *root;

	if (n > CONFIG_FILE_BYTES) {
		config_fail(errors, 0, NULL, "larger than %d bytes", CONFIG_FILE_BYTES);
		return NULL;
	}
	if (!yaml_parser_initialize(&r.parser))
		abort(); /* out of memory */
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	root = read_stream(&r);
	yaml_parser_delete(&r.parser);
	return root;
}
