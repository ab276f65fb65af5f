"""Repairs, restores and backups killed at many points, every byte of a backup altered: the thorough runs."""

from helpers import THOROUGH

if THOROUGH:
    from test_full_backup import new, old, small  # noqa: F401 - fixtures
    from test_full_backup import test_a_backup_that_is_killed_leaves_no_file_that_could_be_taken_for_one as _backup
    from test_full_backup import test_a_backup_while_sites_are_deployed_holds_what_its_metadata_names as _beside
    from test_full_backup import test_a_bit_flipped_anywhere_is_noticed as _bits
    from test_full_backup import test_a_file_cut_short_or_lengthened_is_noticed as _lengths
    from test_full_backup import test_a_restore_that_is_killed_anywhere_is_finished_by_the_next_run as _restore
    from test_verify import bench  # noqa: F401 - a fixture
    from test_verify import test_a_repair_that_is_killed_anywhere_is_finished_by_the_next_one as _repair
    from test_verify import test_metadata_cut_anywhere_is_rebuilt as _metadata
    from test_verify import test_verify_finds_nothing_while_sites_are_deployed_checked_out_and_deleted as _while

    test_backup_killed, test_backup_beside, test_bits, test_lengths = _backup, _beside, _bits, _lengths
    test_restore_killed, test_repair_killed, test_metadata, test_verify_beside = _restore, _repair, _metadata, _while
