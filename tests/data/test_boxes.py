from __future__ import annotations

import numpy as np
import pytest

from tests.data.trees import OBJECT, VOC
from vitvis.data.boxes import Box, boxes_mask, fit_mask, is_degenerate, parse_polygons, parse_voc, polygon_mask
from vitvis.data.photo import UnusableImage


def test_voc_is_read_by_tag_whatever_the_order():
    text = """<annotation><object><bndbox><ymax>40</ymax><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax></bndbox>
      <part><name>leg</name></part><name>n1</name></object><size><height>50</height><depth>3</depth><width>60</width></size>
      </annotation>"""
    annotation = parse_voc(text)
    assert (annotation.width, annotation.height) == (60, 50)
    assert annotation.boxes == (Box("n1", 1, 2, 30, 40),)


def test_broken_annotations_are_unusable():
    for text in ("<annotation>", VOC.format(folder="", name="", width=1, height=1, objects="<object></object>")):
        with pytest.raises(UnusableImage):
            parse_voc(text)
    with pytest.raises(UnusableImage, match="no numbers"):
        parse_voc(f"<annotation>{OBJECT.format('n1', 'a', 2, 3, 4)}</annotation>")


def test_box_covers_both_ends():
    mask = boxes_mask([Box("", 2, 1, 4, 3)], (6, 8))
    assert mask.sum() == 9 and mask[1:4, 2:5].all()


def test_several_boxes_are_one_mask():
    mask = boxes_mask([Box("", 0, 0, 3, 3), Box("", 2, 2, 5, 5)], (8, 8))
    assert mask.sum() == 16 + 16 - 4


def test_boxes_are_rescaled_to_the_decoded_image():
    mask = boxes_mask([Box("", 10, 20, 29, 59)], (40, 25), annotated=(80, 50))
    assert mask[10:30, 5:15].all() and mask.sum() == 20 * 10


def test_sides_beyond_the_image_are_cut():
    mask = boxes_mask([Box("", -5, -5, 3, 100)], (6, 6))
    assert mask.sum() == 6 * 4
    assert not boxes_mask([Box("", 10, 10, 20, 20)], (6, 6)).any()


@pytest.mark.parametrize("sides", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 1, 3, 4), (0, 0, float("nan"), 4)])
def test_degenerate_boxes(sides):
    assert is_degenerate(Box("", *sides))


def test_polygon_of_a_rectangle_is_the_rectangle():
    ((label, points),) = parse_polygons("7 0.25 0.5 0.75 0.5 0.75 1.0 0.25 1.0")
    mask = polygon_mask([points], (20, 40))
    inside = np.zeros((20, 40), bool)
    inside[10:20, 10:30] = True
    assert label == 7
    assert (mask & inside).sum() == inside.sum()  # every pixel inside; the outline may add one pixel at the border
    assert mask.sum() <= 11 * 22


def test_polygon_against_point_in_polygon():
    from matplotlib.path import Path as Outline

    points = np.array([[0.1, 0.1], [0.9, 0.25], [0.6, 0.5], [0.8, 0.9], [0.2, 0.7]])
    mask = polygon_mask([points], (100, 120))
    y, x = np.mgrid[:100, :120]
    centres = np.stack([(x.ravel() + 0.5) / 120, (y.ravel() + 0.5) / 100], 1)
    inside = Outline(points).contains_points(centres).reshape(100, 120)
    assert (mask != inside).sum() <= 200  # pixels on the outline alone, which is about 330 px long


def test_four_numbers_are_a_yolo_box():
    ((_, points),) = parse_polygons("0 0.5 0.5 0.2 0.4")
    assert np.allclose(points, [[0.4, 0.3], [0.6, 0.3], [0.6, 0.7], [0.4, 0.7]])


@pytest.mark.parametrize("text", ["0 0.1 0.2 0.3", "0 a b c d e f", "0 0.1 0.2 0.3 0.4 0.5", "0 nan 0 1 1 0 1"])
def test_lines_that_are_no_polygon(text):
    with pytest.raises(UnusableImage, match="line 1"):
        parse_polygons(text)


def test_masks_of_another_size_are_fitted():
    mask = np.array([[True, False], [False, True]])
    fitted = fit_mask(mask, (4, 6))
    assert fitted[:2, :3].all() and fitted[2:, 3:].all() and fitted.sum() == 12


def test_ends_that_are_said_to_be_inclusive_make_a_box_of_one_pixel():
    box = Box("", 5, 5, 5, 9)
    assert not is_degenerate(box, one_pixel=True) and boxes_mask([box], (12, 12)).sum() == 5
    assert is_degenerate(Box("", 6, 5, 5, 9), one_pixel=True) and not boxes_mask([Box("", 6, 5, 5, 9)], (12, 12)).any()


@pytest.mark.parametrize("encoding", ["gb2312", "shift_jis", "euc-kr", "big5", "utf-8", "utf-16", "latin-1"])
def test_annotations_of_any_encoding_are_read(encoding):
    """Expat itself takes no encoding of several bytes a letter but Unicode's."""
    name = {"gb2312": "狗", "shift_jis": "犬", "euc-kr": "개", "big5": "狗"}.get(encoding, "Hündin")
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<annotation>{OBJECT.format(name, 1, 2, 3, 4)}</annotation>'
    (box,) = parse_voc(text.encode(encoding)).boxes
    assert box == Box(name, 1, 2, 3, 4)
    with pytest.raises(UnusableImage):
        parse_voc(text.replace(encoding, "nosuch-9").encode(encoding if encoding != "utf-16" else "utf-8"))


@pytest.mark.parametrize("word", ["1" * 20, "9" * 5000, "1000000", "-1", "1e400", "nan", "1.5"])
def test_a_class_beyond_the_limits_is_no_class(word):
    with pytest.raises(UnusableImage, match="line 1: class .* is no number from 0 to 999999"):
        parse_polygons(f"{word} 0 0 1 0 1 1")
    assert parse_polygons("3.0 0 0 1 0 1 1")[0][0] == 3
