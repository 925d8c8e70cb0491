vitvis.put("photos",{"suffix":"jpg","absent":{}});
