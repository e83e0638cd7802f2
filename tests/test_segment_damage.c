/*
 * Recording files that were cut or not closed: what is whole is found and closed, and a closing that is stopped
 * anywhere leaves a file that plays and that can be closed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/base/memory.h"
#include "tests/segment_script.h"

enum {
	HEADER_BYTES = 16, /* what is overwritten at the end: in one sector, so never in part */
	CUTS = 6           /* of one write that is longer */
};

/* --- damage --- */

/* Any beginning of an open file is what its whole fragments are. */
static void test_every_cut_ends_with_its_last_whole_fragment(void **state)
{
	static const struct script script = { "cut", 3, 4, 6, .video = true, .audio = true };
	struct built b = build(&script);

	(void)state;
	for (size_t cut = 0; cut <= b.w.n; cut++) {
		int fd = file_of(b.w.p, cut);
		size_t whole = 0;
		uint64_t bytes;

		while (whole < b.n && cut >= b.fragments[whole].offset + b.fragments[whole].bytes)
			whole++;
		if (whole) {
			check_scan("cut", fd, &b, whole, false);
			close_file(fd);
			check_scan("cut and closed", fd, &b, whole, true);
		} else {
			struct segment_scan scan;
			int error = segment_scan(fd, &scan);

			/* of half an ftyp nobody knows what it would become */
			assert_true(
				error == -ENODATA || (cut > 0 && cut < 28 && error == -ENOTSUP));
			assert_int_equal(segment_close(fd, &bytes), error);
			assert_int_equal(bytes, cut);
			assert_int_equal(size_of(fd), cut);
		}
		close(fd);
	}
	free(b.w.p);
}

/* A closed file that lost its end has its fragments still, and is closed again. */
static void test_every_cut_of_a_closed_file_is_mended(void **state)
{
	static const struct script script = { "closed", 3, 4, 6, .video = true, .audio = true };
	struct built b = build(&script);
	int whole_fd = file_of(b.w.p, b.w.n);
	struct reading *expected = read_file(whole_fd);
	uint64_t n;

	(void)state;
	close_file(whole_fd);
	n = size_of(whole_fd);
	for (size_t cut = b.fragments[0].offset + b.fragments[0].bytes; cut < n; cut++) {
		int fd = copy_of(whole_fd);
		size_t whole = 0;

		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		while (whole < b.n && cut >= b.fragments[whole].offset + b.fragments[whole].bytes)
			whole++;
		check_scan("closed and cut", fd, &b, whole, false);
		close_file(fd);
		check_scan("closed, cut and closed", fd, &b, whole, true);
		if (whole == b.n) {
			struct reading *seen = read_file(fd);

			check_same("closed, cut and closed", expected, seen);
			free(seen);
		}
		close(fd);
	}
	free(expected);
	close(whole_fd);
	free(b.w.p);
}

/* Whatever is behind the last fragment, it goes: but for a whole one that is not understood. */
static void test_what_is_behind_the_last_fragment(void **state)
{
	static const struct {
		const char *name;
		uint8_t p[24];
		size_t n;
		int error;
	} cases[] = {
		{"zeros",                   { 0 },							      24, 0       },
		{ "half a header",          { 0, 0, 1 },							3,  0       },
		{ "a moof that is missing", { 0, 0, 1, 0, 'm', 'o', 'o', 'f' },                                 8,  0       },
		{ "another box",            { 0, 0, 0, 12, 'm', 'f', 'r', 'a' },                                12, 0       },
		{ "no mdat behind a moof",
                 { 0, 0, 0, 8, 'm', 'o', 'o', 'f', 0, 0, 0, 8, 'f', 'r', 'e', 'e' },                            16, 0       },
		{ "an mdat that is torn",
                 { 0, 0, 0, 8, 'm', 'o', 'o', 'f', 0, 0, 0, 9, 'm', 'd', 'a', 't' },                            16, 0       },
		{ "an odd moof",            { 0, 0, 0, 8, 'm', 'o', 'o', 'f', 0, 0, 0, 8, 'm', 'd', 'a', 't' },
                 16,												-EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct built b = build(&scripts[0]);
		uint64_t bytes, fragments = b.w.n;
		int fd, error;

		box_bytes(&b.w, cases[i].p, cases[i].n);
		fd = file_of(b.w.p, b.w.n);
		check_scan(cases[i].name, fd, &b, b.n, false);
		error = segment_close(fd, &bytes);
		if (error != cases[i].error)
			fail_msg("%s: %d", cases[i].name, error);
		assert_int_equal(bytes, size_of(fd));
		if (error) {
			assert_int_equal(bytes, fragments + cases[i].n);
		} else {
			int clean = file_of(b.w.p, fragments);

			close_file(clean);
			assert_int_equal(size_of(clean), bytes); /* as if it had not been there */
			close(clean);
		}
		check_scan(cases[i].name, fd, &b, b.n, !error);
		close(fd);
		free(b.w.p);
	}
}

/* --- closing, step by step --- */

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t offset);
int __real_fdatasync(int fd);
int __real_ftruncate(int fd, off_t n);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate(int fd, off_t n);

static struct {
	void (*look)(int fd);   /* NULL: nobody looks */
	unsigned step, failing; /* the step that fails, counted from 1; 0: none */
	unsigned looks;
} steps;

static void look(int fd)
{
	void (*it)(int) = steps.look;

	if (!it)
		return;
	steps.look = NULL; /* what looks may write, elsewhere */
	it(fd);
	steps.look = it;
	steps.looks++;
}

static bool step_fails(void)
{
	return steps.failing && ++steps.step == steps.failing;
}

/* Looks at the file with a part of what is to be written: what a killed process or a power cut leaves. */
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t offset)
{
	static const uint8_t zeros[1 << 16];

	if (step_fails()) {
		if (n > HEADER_BYTES)
			(void)!__real_pwrite(fd, p, n / 2, offset);
		errno = ENOSPC;
		return -1;
	}
	look(fd);
	for (size_t i = 1; steps.look && n > HEADER_BYTES && i <= CUTS; i++) {
		assert_int_equal(__real_pwrite(fd, p, i < 4 ? i * 4 : n * i / (CUTS + 1), offset),
			i < 4 ? i * 4 : n * i / (CUTS + 1));
		look(fd);
	}
	if (steps.look &&
		n > HEADER_BYTES) { /* the size came to the disk, and some or none of the bytes */
		assert_true(n < sizeof(zeros));
		assert_int_equal(__real_pwrite(fd, zeros, n, offset), n);
		look(fd);
		assert_int_equal(__real_pwrite(fd, p, n / 2, offset), n / 2);
		look(fd);
	}
	if (__real_pwrite(fd, p, n, offset) != (ssize_t)n)
		return -1;
	look(fd);
	return (ssize_t)n;
}

int __wrap_fdatasync(int fd)
{
	if (step_fails()) {
		errno = EIO;
		return -1;
	}
	look(fd);
	return __real_fdatasync(fd);
}

int __wrap_ftruncate(int fd, off_t n)
{
	if (step_fails()) {
		errno = EIO;
		return -1;
	}
	look(fd);
	return __real_ftruncate(fd, n);
}

static const struct script *looked_script;
static const struct built *looked;
static const struct reading *looked_expected;

/* It plays, is known for what it is, and can be closed. */
static void look_at_file(int fd)
{
	struct reading *seen = read_file(fd);
	struct segment_scan scan;
	int copy = copy_of(fd);

	check_same(looked_script->name, looked_expected, seen);
	free(seen);
	assert_int_equal(segment_scan(fd, &scan), 0);
	assert_int_equal(scan.n, looked->n);
	segment_scan_fini(&scan);
	close_file(copy);
	check_scan(looked_script->name, copy, looked, looked->n, true);
	seen = read_file(copy);
	check_same(looked_script->name, looked_expected, seen);
	free(seen);
	close(copy);
}

static void test_a_closing_may_stop_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_scripts; i++) {
		struct built b;
		struct reading *expected;
		uint64_t bytes;
		int fd;

		if (scripts[i].reorder < 0)
			continue;
		b = build(&scripts[i]);
		fd = file_of(b.w.p, b.w.n);
		expected = read_file(fd);

		looked_script = &scripts[i];
		looked = &b;
		looked_expected = expected;
		steps.looks = 0;
		steps.look = look_at_file;
		/* of a file as a crash may leave it: a torn fragment has to be cut, too */
		assert_int_equal(
			__real_pwrite(fd, b.w.p + b.fragments[0].offset, 20, (off_t)b.w.n), 20);
		assert_int_equal(segment_close(fd, &bytes), 0);
		steps.look = NULL;
		assert_true(steps.looks > 2 * CUTS);
		free(expected);
		close(fd);
		free(b.w.p);
	}
}

static void test_whatever_fails_the_file_plays(void **state)
{
	struct built b = build(&scripts[7]);
	int fd = file_of(b.w.p, b.w.n);
	struct reading *expected = read_file(fd);
	unsigned failed = 0;

	(void)state;
	looked_script = &scripts[7];
	looked = &b;
	looked_expected = expected;
	for (unsigned n = 1;; n++) {
		static const uint8_t torn[5];
		int copy = file_of(b.w.p, b.w.n);
		uint64_t bytes;
		int error;

		assert_int_equal(pwrite(copy, torn, sizeof(torn), (off_t)b.w.n), sizeof(torn));
		steps.step = 0;
		steps.failing = n;
		error = segment_close(copy, &bytes);
		steps.failing = 0;
		assert_int_equal(bytes, size_of(copy));
		look_at_file(copy);
		close(copy);
		if (!error)
			break;
		failed++;
	}
	assert_int_equal(failed, 6); /* cut, sync, append, sync, overwrite, sync */
	free(expected);
	close(fd);
	free(b.w.p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut_ends_with_its_last_whole_fragment),
		cmocka_unit_test(test_every_cut_of_a_closed_file_is_mended),
		cmocka_unit_test(test_what_is_behind_the_last_fragment),
		cmocka_unit_test(test_a_closing_may_stop_anywhere),
		cmocka_unit_test(test_whatever_fails_the_file_plays),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
